namespace DiffusionGemma.Samples;

/// <summary>An error ends a sample with its message and no stack trace.</summary>
internal static class FriendlyErrors
{
    public static void Install() => AppDomain.CurrentDomain.UnhandledException += (_, unhandled) =>
    {
        Exception error = (Exception)unhandled.ExceptionObject;
        while (error is AggregateException { InnerException: { } inner }) error = inner;
        Console.Error.WriteLine($"{Environment.NewLine}{error.Message}");
        Environment.Exit(1);
    };
}
