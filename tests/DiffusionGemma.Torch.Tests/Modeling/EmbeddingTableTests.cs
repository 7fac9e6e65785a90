using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Rows and expectations against autograd's own, in float64: the same products, added up in another order.</summary>
public class EmbeddingTableTests : TorchTest
{
    [Fact]
    public void Rows_expectations_and_gradients_equal_the_plain_ones()
    {
        using var generator = new Generator(2);
        Tensor weight = randn(9, 4, dtype: ScalarType.Float64, generator: generator).requires_grad_(true);
        Tensor ids = tensor(new long[,] { { 3, 0, 3 }, { 8, 0, 1 } });
        Tensor logits = randn(2, 3, 9, dtype: ScalarType.Float64, generator: generator) * 3;
        Tensor rowsGradient = randn(2, 3, 4, dtype: ScalarType.Float64, generator: generator);
        Tensor softGradient = randn(2, 3, 4, dtype: ScalarType.Float64, generator: generator);
        Tensor plainRows = TorchOperators.Embedding(weight, ids, 0) * 2.5;
        Tensor plainSoft = nn.functional.linear(logits.softmax(-1), weight.t()) * 2.5;
        (plainRows * rowsGradient).sum().backward();
        (plainSoft * softGradient).sum().backward();
        Tensor expected = weight.grad!.clone();

        weight.grad!.fill_(1);                              // gradients are added to what is there
        var table = new EmbeddingTable(weight, weight.dtype, 2.5, paddingId: 0);
        var context = new PassContext(Pass.Decoder);
        Tensor probabilities = logits.softmax(-1).view(-1, 9), weights = logits.exp().view(-1, 9);
        Tensor Average() => table.Average(probabilities, null, context).view(2, 3, 4);
        (Tensor rows, Tensor soft) = (table.LookUp(ids, context), Average());
        context.Backward.Run([(rows, rowsGradient), (soft, softGradient)]);
        Assert.True(Largest(rows, plainRows) < 1e-12);
        Assert.True(Largest(soft, plainSoft) < 1e-12);
        Assert.True(Largest(weight.grad! - 1, expected) < 1e-10);

        weight.requires_grad_(false);
        Assert.Equal(0, Largest(table.LookUp(ids, context), rows));
        Assert.Equal(0, Largest(Average(), soft));
        Assert.True(Largest(table.Average(weights, weights.sum(-1, keepdim: true), context).view(2, 3, 4), soft) < 1e-12);
    }
}
