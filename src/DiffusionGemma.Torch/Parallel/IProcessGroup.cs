using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Ranks that compute together, seen from one of them. Every rank calls the same collectives in the same order, with tensors of the same dtype and
/// of fitting sizes; a rank that does not is told so, and all the others too. Tensors are contiguous, on the rank's own device, of float32,
/// float64, bfloat16 or int64; sums of bfloat16 are made in float32 and rounded once. Nothing here is recorded by autograd.
/// <para>
/// A collective that is not complete within <see cref="Timeout"/> throws a <see cref="ProcessGroupException"/> that names rank, operation, its number
/// and <see cref="At"/>; so does every later one, on every rank: a group that has failed stays failed. Not safe for two threads at once.
/// </para>
/// </summary>
internal interface IProcessGroup : IDisposable
{
    /// <summary>This rank's number, from 0.</summary>
    int Rank { get; }

    /// <summary>Ranks in the group.</summary>
    int Size { get; }

    /// <summary>How long a collective waits for the other ranks.</summary>
    TimeSpan Timeout { get; }

    /// <summary>Where this rank is ("step 12, backward"), for the messages of errors. Groups split off this one say the same.</summary>
    string At { get; set; }

    /// <summary>Every rank's tensor becomes the sum of all ranks' tensors, in place.</summary>
    /// <param name="tensor">Of the same shape on every rank.</param>
    void AllReduce(Tensor tensor);

    /// <summary>Rank r gets the sum over all ranks of the r-th of <see cref="Size"/> equal parts of their inputs.</summary>
    /// <param name="input">Size · n numbers. Unspecified afterwards.</param>
    /// <param name="output">n numbers; may be this rank's part of <paramref name="input"/> itself.</param>
    void ReduceScatter(Tensor input, Tensor output);

    /// <summary>Every rank gets all ranks' inputs, one behind the other in the order of ranks.</summary>
    /// <param name="input">n numbers; may be this rank's part of <paramref name="output"/> itself.</param>
    /// <param name="output">Size · n numbers.</param>
    void AllGather(Tensor input, Tensor output);

    /// <summary>
    /// Rank r gets of every rank the rows that are meant for it, in the order of ranks.
    /// <code>
    /// 2 ranks    rank 0 sends   a b | c      counts 2 1        rank 0 has then   a b d       counts 2 1
    ///            rank 1 sends   d | e f g    counts 1 3        rank 1            c e f g     counts 1 3
    /// </code>
    /// </summary>
    /// <param name="input">[Σ sent, ...]: rows for rank 0 first.</param>
    /// <param name="sent">Rows for each rank; may be 0.</param>
    /// <param name="output">[Σ received, ...]: rows of rank 0 first; shares no memory with <paramref name="input"/>.</param>
    /// <param name="received">Rows of each rank; may be 0.</param>
    void AllToAll(Tensor input, IReadOnlyList<long> sent, Tensor output, IReadOnlyList<long> received);

    /// <summary>Every rank's tensor becomes the root's.</summary>
    /// <param name="tensor">Of the same shape on every rank.</param>
    /// <param name="root">Whose values.</param>
    void Broadcast(Tensor tensor, int root);

    /// <summary>Returns once every rank has called it.</summary>
    void Barrier();

    /// <summary>A group of the ranks that give the same colour, in the order of their ranks here. A collective; the caller disposes the result, before this group.</summary>
    /// <param name="color">Not negative.</param>
    IProcessGroup Split(int color);

    /// <summary>
    /// This rank cannot go on: every other rank's present or next collective, here and in groups split off, throws a <see cref="ProcessGroupException"/>
    /// with this cause at once. Never throws and never waits; may be called from any thread. Several processes: the message travels where the engine can
    /// carry it, and else the processes end by time-out or are ended.
    /// </summary>
    /// <param name="cause">What happened.</param>
    void Abort(Exception cause);
}
