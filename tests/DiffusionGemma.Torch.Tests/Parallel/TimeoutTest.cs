namespace DiffusionGemma;

/// <summary>Runs a check of a time-out that a busy machine may disturb, because a rank that should arrive in time is late too.</summary>
internal static class TimeoutTest
{
    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(1);

    /// <summary>Runs the check with half a second, and after a failure again with twice the time, up to a minute.</summary>
    /// <param name="check">Gets the time-out to use; throws where its expectations do not hold.</param>
    public static void Run(Action<TimeSpan> check)
    {
        TimeSpan timeout = TimeSpan.FromSeconds(0.5);
        while (true)
        {
            try
            {
                check(timeout);
                return;
            }
            catch (Exception) when (timeout < Longest)
            {
                timeout *= 2;
            }
        }
    }
}
