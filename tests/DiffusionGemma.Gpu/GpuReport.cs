using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace DiffusionGemma.Gpu;

/// <summary>
/// Results of all stages: a JSON line each, at once, and a page after each stage, so that whatever ends a run leaves what it had.
/// </summary>
internal sealed class GpuReport : IDisposable
{
    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    private readonly string _folder, _path;
    private readonly StreamWriter _lines;
    private readonly List<Line> _all = [];
    private readonly GpuOptions _options;

    /// <param name="options">The program's options.</param>
    /// <param name="stage">The stage that this process runs, whose lines are added to the others'; null: the file begins here.</param>
    public GpuReport(GpuOptions options, int? stage)
    {
        (_options, Stage) = (options, stage ?? 0);
        _folder = Directory.CreateDirectory(options.Out).FullName;
        _path = Path.Combine(_folder, "results.jsonl");
        var file = new FileStream(
            _path, stage is null ? FileMode.Create : FileMode.Append, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete);
        _lines = new StreamWriter(file) { AutoFlush = true };
    }

    /// <summary>The stage that lines belong to.</summary>
    public int Stage { get; set; }

    /// <summary>True where a check failed or a stage did not end as it should. A goal that is missed is no failure.</summary>
    public bool HasFailed => _all.Any(line => line.Status == "failed");

    /// <summary>Records a number.</summary>
    public void Figure(string name, double value, string unit, string note = "") => Add(name, "figure", value, unit, note);

    /// <summary>Records whether something holds that must.</summary>
    public void Check(string name, bool holds, double? value, string unit, string note) =>
        Add(name, holds ? "passed" : "failed", value, unit, note);

    /// <summary>Records whether a goal is reached.</summary>
    public void Goal(string name, bool isReached, double value, string unit, string goal) =>
        Add(name, isReached ? "goal reached" : "goal missed", value, unit, goal);

    /// <summary>Records what was not done, and why.</summary>
    public void Skip(string name, string reason) => Add(name, "skipped", null, "", reason);

    /// <summary>Records words.</summary>
    public void Note(string name, string text) => Add(name, "note", null, "", text);

    /// <summary>Records what ended a stage, or a part of it.</summary>
    public void Fail(string name, string text) => Add(name, "failed", null, "", text.Length <= 1500 ? text : $"{text[..1500]} ...");

    /// <summary>Records how long a stage took.</summary>
    public void Time(TimeSpan took, string name) => Add($"stage {Stage}", "time", took.TotalSeconds, "s", name);

    /// <summary>Runs a part of a stage; what ends it is recorded, and the parts after it run.</summary>
    public void Part(string name, Action run)
    {
        try
        {
            run();
        }
        catch (Exception e)
        {
            Fail(name, e.ToString());
        }
    }

    /// <summary>Returns a number that was recorded; null where it was not.</summary>
    public double? Value(string name) => _all.LastOrDefault(line => line.Name == name && line.Value is not null)?.Value;

    /// <summary>Takes over the lines that a stage's own process has written; one that it did not finish is left out.</summary>
    public void ReadLines()
    {
        _all.Clear();
        using var file = new FileStream(_path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        using var reader = new StreamReader(file);
        while (reader.ReadLine() is { } text)
        {
            try
            {
                if (JsonSerializer.Deserialize<Line>(text, Json) is { } line) _all.Add(line);
            }
            catch (JsonException)
            {
                // The process was ended while it wrote.
            }
        }
        _lines.BaseStream.Seek(0, SeekOrigin.End);
    }

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
    }

    public void Dispose() => _lines.Dispose();

    private static string Cell(string text) => text.ReplaceLineEndings(" ").Replace("|", "\\|", StringComparison.Ordinal);

    private void Add(string name, string status, double? value, string unit, string note)
    {
        // JSON has no number for what is not finite
        if (value is double number && !double.IsFinite(number))
            (value, note) = (null, $"{number.ToString(CultureInfo.InvariantCulture)}: {note}");
        var line = new Line(Stage, name, status, value, unit, note);
        _all.Add(line);
        _lines.WriteLine(JsonSerializer.Serialize(line, Json));
        Console.Error.WriteLine($"  {line.Status,-12} {line.Name} {line.Number} {line.Note}");
    }

    private sealed record Line(int Stage, string Name, string Status, double? Value, string Unit, string Note)
    {
        [JsonIgnore]
        public string Number => Value is double value ? string.Create(CultureInfo.InvariantCulture, $"{value:0.######} {Unit}").Trim() : "";
    }
}
