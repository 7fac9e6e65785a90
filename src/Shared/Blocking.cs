namespace DiffusionGemma;

/// <summary>Waits for asynchronous work of libraries that go on where they were called.</summary>
/// <remarks>
/// On a thread with a context, such as that of a window, that would be the thread which waits here: the work runs on the thread pool.
/// </remarks>
internal static class Blocking
{
    /// <summary>Returns the result of the work, or throws its exception.</summary>
    public static T Run<T>(Func<Task<T>> work) =>
        (SynchronizationContext.Current is null ? work() : Task.Run(work)).GetAwaiter().GetResult();

    /// <inheritdoc cref="Run{T}"/>
    public static void Run(Func<Task> work) =>
        (SynchronizationContext.Current is null ? work() : Task.Run(work)).GetAwaiter().GetResult();
}
