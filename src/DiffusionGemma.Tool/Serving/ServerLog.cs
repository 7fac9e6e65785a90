using Microsoft.Extensions.Logging;

namespace DiffusionGemma;

/// <summary>The server's log on standard error: this library's own lines, and everyone's warnings.</summary>
internal sealed class ServerLog(ToolOutput output) : ILoggerProvider
{
    private const string Own = "DiffusionGemma";

    public ILogger CreateLogger(string categoryName) =>
        new Lines(output, categoryName.StartsWith(Own, StringComparison.Ordinal) ? LogLevel.Information : LogLevel.Warning);

    public void Dispose()
    {
        // There is nothing to free.
    }

    private sealed class Lines(ToolOutput output, LogLevel least) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= least && logLevel != LogLevel.None;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (!IsEnabled(logLevel)) return;
            string text = formatter(state, exception);
            output.Say((logLevel >= LogLevel.Warning ? $"{logLevel}: " : "") + (exception is null ? text : $"{text}: {exception.Message}"));
        }
    }
}
