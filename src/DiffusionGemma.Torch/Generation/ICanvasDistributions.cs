using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Distributions over the vocabulary for the canvas positions of neighbouring rows of a batch.</summary>
internal interface ICanvasDistributions
{
    /// <summary>The first of the rows in the batch.</summary>
    int First { get; }

    /// <summary>The number of rows.</summary>
    int Rows { get; }

    /// <summary>The distributions of one row.</summary>
    /// <param name="index">The row within these, from 0.</param>
    IRowDistribution Row(int index);

    /// <summary>[rows,C,V]: all probabilities.</summary>
    Tensor Probabilities();

    /// <summary>Proposes tokens that a noise source has sampled.</summary>
    /// <param name="row">The row within these, from 0.</param>
    /// <param name="tokens">[C].</param>
    Proposals Propose(int row, int[] tokens);

    /// <summary>Expected embeddings [rows,C,H] of all rows, which condition the next pass.</summary>
    Tensor ExpectedEmbeddings();

    /// <summary>Expected embeddings [1,C,H] of one row.</summary>
    /// <param name="row">The row within these, from 0.</param>
    Tensor ExpectedEmbeddings(int row);
}
