using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>An error within a kernel, libtorch's or this library's, is a managed exception, and the model works on.</summary>
public sealed class NativeErrorTests : TorchTest
{
    /// <summary>Ids that the embedding has no row for: of plain weights, of mapped ones, and of quantised ones.</summary>
    [Theory]
    [InlineData("tiny-2layer", Quantization.None)]
    [InlineData("tiny-bf16-sharded", Quantization.None)]
    [InlineData("tiny-chat", Quantization.Int8)]
    [InlineData("tiny-chat", Quantization.Int4)]
    public void An_id_beyond_the_vocabulary_is_an_exception(string checkpoint, Quantization quantization)
    {
        using IDisposable quiet = no_grad();
        using DiffusionGemmaModel model =
            DiffusionGemmaModel.Load(Fixtures.Checkpoint(checkpoint), CPU, ScalarType.Float32, quantization);
        Tensor ids = tensor(new long[] { 2, 7, 9, 4 }).unsqueeze(0);
        Tensor expected = Logits(ids);
        foreach (long wrong in new[] { model.Config.VocabularySize, -1L, long.MaxValue })
        {
            Tensor broken = tensor(new[] { 2, 7, wrong, 4 }).unsqueeze(0);
            Assert.ThrowsAny<Exception>(() => model.Encode(broken));
            using EncoderCache cache = model.Encode(ids);
            Assert.ThrowsAny<Exception>(() => model.Decode(broken, cache));
            Assert.Equal(0, Largest(expected, Logits(ids)));
        }

        Tensor Logits(Tensor of)
        {
            using EncoderCache cache = model.Encode(of);
            return model.Decode(of, cache);
        }
    }
}
