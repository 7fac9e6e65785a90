using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace DiffusionGemma.Gpu;

/// <summary>Results of all stages: a JSON line each, at once, and a page at the end.</summary>
internal sealed class GpuReport : IDisposable
{
    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    private readonly string _folder;
    private readonly StreamWriter _lines;
    private readonly List<Line> _all = [];
    private readonly GpuOptions _options;
    private int _stage;

    public GpuReport(GpuOptions options)
    {
        _options = options;
        _folder = Directory.CreateDirectory(options.Out).FullName;
        _lines = new StreamWriter(Path.Combine(_folder, "results.jsonl")) { AutoFlush = true };
    }

    /// <summary>True where a check failed or a stage ended in an exception. A goal that is missed is no failure.</summary>
    public bool HasFailed => _all.Any(line => line.Status == "failed");

    /// <summary>Runs a stage, and records its time, or what ended it.</summary>
    public void Stage(int number, string name, Action run)
    {
        _stage = number;
        Console.Error.WriteLine($"stage {number}: {name}");
        long start = Stopwatch.GetTimestamp();
        try
        {
            run();
        }
        catch (Exception e)
        {
            Add(new Line(number, name, "failed", null, "", Start(e.ToString())));
        }
        Add(new Line(number, $"stage {number}", "time", Stopwatch.GetElapsedTime(start).TotalSeconds, "s", name));
    }

    /// <summary>Records a number.</summary>
    public void Figure(string name, double value, string unit, string note = "") =>
        Add(new Line(_stage, name, "figure", value, unit, note));

    /// <summary>Records whether something holds that must.</summary>
    public void Check(string name, bool holds, double? value, string unit, string note) =>
        Add(new Line(_stage, name, holds ? "passed" : "failed", value, unit, note));

    /// <summary>Records whether a goal is reached.</summary>
    public void Goal(string name, bool isReached, double value, string unit, string goal) =>
        Add(new Line(_stage, name, isReached ? "goal reached" : "goal missed", value, unit, goal));

    /// <summary>Records what was not done, and why.</summary>
    public void Skip(string name, string reason) => Add(new Line(_stage, name, "skipped", null, "", reason));

    /// <summary>Records words.</summary>
    public void Note(string name, string text) => Add(new Line(_stage, name, "note", null, "", text));

    /// <summary>Returns a number that was recorded; null where it was not.</summary>
    public double? Value(string name) => _all.LastOrDefault(line => line.Name == name && line.Value is not null)?.Value;

    /// <summary>Writes report.md.</summary>
    public void Write()
    {
        var text = new StringBuilder("# DiffusionGemma on the device\n\n");
        text.Append(CultureInfo.InvariantCulture,
            $"Device {(_options.IsCpu ? "CPU" : "CUDA")}{(_options.IsQuick ? ", quick" : "")}. ");
        text.Append(CultureInfo.InvariantCulture,
            $"{_all.Count(l => l.Status == "passed")} checks passed, {_all.Count(l => l.Status == "failed")} failed, ");
        text.Append(CultureInfo.InvariantCulture, $"{_all.Count(l => l.Status == "skipped")} skipped; ");
        text.Append(CultureInfo.InvariantCulture,
            $"{_all.Count(l => l.Status == "goal reached")} goals reached, {_all.Count(l => l.Status == "goal missed")} missed.\n");
        foreach (var stage in _all.GroupBy(line => line.Stage))
        {
            text.Append(CultureInfo.InvariantCulture, $"\n## Stage {stage.Key}\n\n");
            var rows = stage.Where(line => line.Status != "note").ToList();
            if (rows.Count > 0) text.Append("| what | value | status | note |\n|---|---|---|---|\n");
            foreach (Line line in rows)
                text.Append(CultureInfo.InvariantCulture,
                    $"| {line.Name} | {line.Number} | {line.Status} | {Cell(line.Note)} |\n");
            foreach (Line note in stage.Where(line => line.Status == "note"))
                text.Append(CultureInfo.InvariantCulture, $"\n{note.Name}:\n\n```\n{note.Note.TrimEnd()}\n```\n");
        }
        string path = Path.Combine(_folder, "report.md");
        File.WriteAllText(path + ".tmp", text.ToString());
        File.Move(path + ".tmp", path, overwrite: true);
        Console.Error.WriteLine($"report: {path}");
    }

    public void Dispose() => _lines.Dispose();

    private static string Start(string text) => text.Length <= 1500 ? text : $"{text[..1500]} ...";

    private static string Cell(string text) => text.ReplaceLineEndings(" ").Replace("|", "\\|", StringComparison.Ordinal);

    private void Add(Line line)
    {
        _all.Add(line);
        _lines.WriteLine(JsonSerializer.Serialize(line, Json));
        Console.Error.WriteLine($"  {line.Status,-12} {line.Name} {line.Number} {line.Note}");
    }

    private sealed record Line(int Stage, string Name, string Status, double? Value, string Unit, string Note)
    {
        public string Number => Value is double value ? string.Create(CultureInfo.InvariantCulture, $"{value:0.######} {Unit}").Trim() : "";
    }
}
