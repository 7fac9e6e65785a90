using System.Diagnostics;
using Spectre.Console;

namespace DiffusionGemma;

/// <summary>
/// The progress of one piece of work: a bar with the time left on a terminal, plain lines elsewhere.
/// </summary>
internal sealed class WorkProgress
{
    private readonly ToolOutput _output;
    private readonly ProgressTask? _bar;
    private readonly double _shareBetweenLines;
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private double _lastShare = double.NegativeInfinity, _first = double.NaN;

    private WorkProgress(ToolOutput output, ProgressTask? bar, double shareBetweenLines) =>
        (_output, _bar, _shareBetweenLines) = (output, bar, shareBetweenLines);

    /// <summary>Does the work on another thread while its progress is shown.</summary>
    /// <param name="output">Standard error.</param>
    /// <param name="title">What is done, until the work says more.</param>
    /// <param name="work">Reports to what it is given.</param>
    /// <param name="shareBetweenLines">The part of the work between two plain lines; 0: a line for each report.</param>
    public static async Task<T> RunAsync<T>(ToolOutput output, string title, Func<WorkProgress, T> work, double shareBetweenLines = 0.1)
    {
        if (!output.HasErrorTerminal) return await Task.Run(() => work(new WorkProgress(output, null, shareBetweenLines)));
        return await output.Status.Progress()
            .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new PercentageColumn(),
                new ElapsedTimeColumn(), new RemainingTimeColumn())
            .StartAsync(context =>
            {
                ProgressTask bar = context.AddTask(Markup.Escape(title), maxValue: 1);
                bar.IsIndeterminate = true;
                return Task.Run(() => work(new WorkProgress(output, bar, shareBetweenLines)));
            });
    }

    /// <summary>Reports how far the work is.</summary>
    /// <param name="done">In the unit of <paramref name="total"/>.</param>
    /// <param name="total">All of it; 0: unknown.</param>
    /// <param name="text">What to show beside it.</param>
    public void Report(double done, double total, string text)
    {
        if (_bar is not null)
        {
            _bar.Description = Markup.Escape(ConsoleText.Safe(text));
            _bar.IsIndeterminate = total <= 0;
            if (total > 0) (_bar.MaxValue, _bar.Value) = (total, done);
            return;
        }
        if (double.IsNaN(_first)) _first = done;
        double share = total > 0 ? done / total : 0;
        if (share < 1 && share - _lastShare < _shareBetweenLines) return;
        _lastShare = share;
        double made = done - _first, seconds = _clock.Elapsed.TotalSeconds;
        var time = TimeSpan.FromSeconds(made > 0 ? seconds * (total - done) / made : 0);
        string left = time > TimeSpan.Zero ? ToolOutput.Text($"  {time:hh\\:mm\\:ss} left") : "";
        _output.Say(text + left);
    }
}
