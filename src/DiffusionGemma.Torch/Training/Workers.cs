using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using TorchSharp;

namespace DiffusionGemma;

/// <summary>
/// Threads of one rank on a CPU that each work on a micro-batch of their own, on one set of weights. An operator over a few hundred tokens hardly gains
/// from a second thread; a second micro-batch beside the first gains nearly all of it.
/// </summary>
internal sealed class Workers : IDisposable
{
    private readonly BlockingCollection<Action>[] _queues;
    private readonly Thread[] _threads;

    /// <param name="count">Workers, who share out the caller's torch threads; of one the caller's own thread does the work.</param>
    public Workers(int count)
    {
        Count = count;
        int own = torch.get_num_threads(), threads = Math.Max(1, own / count);
        _queues = [.. Enumerable.Range(0, count == 1 ? 0 : count).Select(_ => new BlockingCollection<Action>())];
        _threads = [.. _queues.Select((queue, worker) => new Thread(() => Work(queue, threads)) { Name = $"worker {worker}", IsBackground = true })];
        foreach (Thread thread in _threads) thread.Start();
        if (count == 1) return;
        Run(_ => { });
        TorchThreads.SetHere(own);                                                               // what other threads begin with too, once these have begun
    }

    /// <param name="options">How to train.</param>
    /// <param name="model">What is trained.</param>
    /// <param name="ranks">Who trains together.</param>
    public Workers(FineTuneOptions options, DiffusionGemmaModel model, RankGroups ranks)
        : this(CountFor(options, model.Device, torch.get_num_threads(), ranks.World.Size, ranks.Experts.Size))
    {
    }

    public int Count { get; }

    /// <summary>As many as there are threads and micro-batches a step; of full fine-tuning, where each has gradients of its own, two at most.</summary>
    /// <param name="options">How to train.</param>
    /// <param name="device">A rank's.</param>
    /// <param name="threads">Torch's threads of a rank.</param>
    /// <param name="ranks">Ranks.</param>
    /// <param name="expertParallel">Ranks that own the experts between them: of more than one, which meet in every pass, each does one thing at a time.</param>
    public static int CountFor(FineTuneOptions options, torch.Device device, int threads, int ranks = 1, int expertParallel = 1)
    {
        if (device.type != DeviceType.CPU || expertParallel > 1) return 1;
        int rows = (options.GlobalBatchSize + ranks - 1) / ranks, most = (rows + options.Run.MicroBatchSize - 1) / options.Run.MicroBatchSize;
        return Math.Min(options.Parallel.Workers ?? Math.Min(threads, options.Lora is null ? 2 : threads), most);
    }

    /// <summary>Runs <paramref name="body"/> for every worker at once and returns when all have; then throws what the first of them threw.</summary>
    public void Run(Action<int> body)
    {
        if (Count == 1)
        {
            body(0);
            return;
        }
        var failures = new ExceptionDispatchInfo?[Count];
        using var left = new CountdownEvent(Count);
        for (int n = 0; n < Count; n++)
        {
            int worker = n;
            _queues[n].Add(() =>
            {
                try
                {
                    body(worker);
                }
                catch (Exception e)
                {
                    failures[worker] = ExceptionDispatchInfo.Capture(e);
                }
                finally
                {
                    left.Signal();
                }
            });
        }
        left.Wait();
        failures.FirstOrDefault(failure => failure is not null)?.Throw();
    }

    public void Dispose()
    {
        foreach (BlockingCollection<Action> queue in _queues) queue.CompleteAdding();
        foreach (Thread thread in _threads) thread.Join();
        foreach (BlockingCollection<Action> queue in _queues) queue.Dispose();
    }

    private void Work(BlockingCollection<Action> queue, int threads)
    {
        TorchThreads.SetHere(threads);
        foreach (Action work in queue.GetConsumingEnumerable()) work();
    }
}
