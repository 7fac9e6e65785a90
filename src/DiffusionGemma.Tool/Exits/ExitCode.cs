namespace DiffusionGemma;

/// <summary>Exit codes of the tool, by kind of failure.</summary>
internal static class ExitCode
{
    public const int Success = 0;

    /// <summary>An error that no other code names, such as a loss that is no longer finite.</summary>
    public const int Failure = 1;

    /// <summary>The command line or the recipe is wrong; nothing was done.</summary>
    public const int Usage = 2;

    /// <summary>Rows or their files cannot be read, or an output cannot be written.</summary>
    public const int Data = 3;

    /// <summary>A checkpoint, adapter or saved model cannot be found, downloaded, read or resumed.</summary>
    public const int Checkpoint = 4;

    /// <summary>A device is not there, or memory is too small.</summary>
    public const int Device = 5;

    /// <summary>Ctrl+C.</summary>
    public const int Cancelled = 130;

    /// <summary>SIGTERM: a service manager or a shut-down ends the process.</summary>
    public const int Terminated = 143;

    /// <summary>SIGHUP: the terminal was closed.</summary>
    public const int HungUp = 129;
}
