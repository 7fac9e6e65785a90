namespace DiffusionGemma;

/// <summary>
/// A thread such as that of a window: what is to go on there after an await goes on when the thread is free, and it waits meanwhile.
/// </summary>
internal sealed class BlockedContext : SynchronizationContext
{
    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(2);

    private BlockedContext()
    {
    }

    /// <summary>Runs a call that blocks on such a thread; it fails where the call waits for that thread.</summary>
    public static void Run(Action call)
    {
        Exception? error = null;
        var thread = new Thread(() =>
        {
            SetSynchronizationContext(new BlockedContext());
            error = Record.Exception(call);
        })
        { IsBackground = true };
        thread.Start();
        Assert.True(thread.Join(Longest), "The call waits for the thread that it blocks.");
        Assert.Null(error);
    }

    public override void Post(SendOrPostCallback d, object? state)
    {
        // The thread is never free.
    }
}
