namespace DiffusionGemma;

/// <summary>A thread that forces one collection after the other, finalizers included, until it is disposed.</summary>
internal sealed class CollectingThread : IDisposable
{
    private readonly Thread _thread;
    private volatile bool _stop;
    private int _collections;

    /// <param name="pause">Time between two collections; none by default.</param>
    public CollectingThread(TimeSpan pause = default)
    {
        _thread = new Thread(() =>
        {
            while (!_stop)
            {
                GC.Collect();
                GC.WaitForPendingFinalizers();
                Interlocked.Increment(ref _collections);
                if (pause > TimeSpan.Zero) Thread.Sleep(pause);
            }
        });
        _thread.Start();
    }

    public int Collections => Volatile.Read(ref _collections);

    public void Dispose()
    {
        _stop = true;
        _thread.Join();
    }
}
