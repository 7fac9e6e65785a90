using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// A group of ranks that compute together, seen from one of them: the collectives of torch.distributed. Every rank calls the same
/// collectives in the same order, with tensors of the same dtype and of matching sizes; where one does not, every rank gets an exception
/// that names it. Tensors are contiguous, on the rank's own device, of float32, float64, bfloat16 or int64; bfloat16 is summed in float32
/// and rounded once. Autograd records nothing.
/// <para>
/// A collective that is not complete within <see cref="Timeout"/> throws a <see cref="ProcessGroupException"/> that names rank, operation,
/// its number and <see cref="Activity"/>; so does every later one, on every rank: a group that has failed stays failed. Not safe for two
/// threads at once.
/// </para>
/// </summary>
internal interface IProcessGroup : IExpertRanks, IDisposable
{
    /// <summary>Time that a collective waits for the other ranks.</summary>
    TimeSpan Timeout { get; }

    /// <summary>
    /// The step and phase that this rank is in ("step 12, backward"), for error messages. Groups split off this one share it.
    /// </summary>
    string Activity { get; set; }

    /// <summary>Replaces every rank's tensor by the sum of all ranks' tensors.</summary>
    /// <param name="tensor">Of the same shape on every rank.</param>
    void AllReduce(Tensor tensor);

    /// <summary>Gives rank r the sum over all ranks of the r-th of <see cref="IExpertRanks.Size"/> equal parts of their inputs.</summary>
    /// <param name="input">Size · n elements. Unspecified afterwards.</param>
    /// <param name="output">n elements; may be this rank's part of <paramref name="input"/> itself.</param>
    void ReduceScatter(Tensor input, Tensor output);

    /// <summary>Gives every rank the inputs of all ranks, concatenated in the order of ranks.</summary>
    /// <param name="input">n elements; may be this rank's part of <paramref name="output"/> itself.</param>
    /// <param name="output">Size · n elements.</param>
    void AllGather(Tensor input, Tensor output);

    /// <summary>Replaces every rank's tensor by the root's.</summary>
    /// <param name="tensor">Of the same shape on every rank.</param>
    /// <param name="root">The rank whose values all get.</param>
    void Broadcast(Tensor tensor, int root);

    /// <summary>Returns once every rank has called it.</summary>
    void Barrier();

    /// <summary>
    /// Makes a group of the ranks that give the same color, in the order of their ranks here. A collective; the caller disposes the result,
    /// before this group.
    /// </summary>
    /// <param name="color">Not negative.</param>
    IProcessGroup Split(int color);

    /// <summary>
    /// Reports that this rank cannot go on: the present or next collective of every other rank, here and in groups split off, throws a
    /// <see cref="ProcessGroupException"/> with this cause at once. Never throws and never waits; may be called from any thread. Between
    /// processes the message travels where the engine can carry it; otherwise the processes end by their time-out or are ended.
    /// </summary>
    /// <param name="cause">The exception of this rank.</param>
    void Abort(Exception cause);
}
