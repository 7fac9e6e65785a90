using System.Text;
using System.Text.Json;

namespace DiffusionGemma;

/// <summary>
/// The answers so far, in a file next to the output: one line that identifies the run, then one line a row, written in blocks of the rows
/// that were denoised together.
/// <code>
/// {"input":"5f1c...","batch-size":"8", ...}
/// {"Row":0,"Response":"8 plus 7 is 15.", ...}     block 0
/// {"Row":1, ...}
/// {"Row":2,"Resp                                   block 1, killed while it was written: cut off here
/// </code>
/// </summary>
internal sealed class AnswerJournal : IDisposable
{
    private static readonly JsonSerializerOptions Strict =
        new() { RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true };

    private readonly FileStream _file;
    private readonly string _path;

    private AnswerJournal(FileStream file, string path) => (_file, _path) = (file, path);

    /// <summary>Rows that are answered.</summary>
    public long Count { get; private set; }

    /// <summary>The last of them; -1 where there is none.</summary>
    public long LastRow { get; private set; } = -1;

    /// <summary>Opens the journal of a run, or begins it.</summary>
    /// <param name="path">The file; no other process may hold it open.</param>
    /// <param name="identity">What answers depend on, by the names of its options.</param>
    /// <param name="block">Rows a block.</param>
    /// <param name="restart">Throw away what is in it.</param>
    /// <exception cref="ToolException">Another process answers into it, or it is of another run.</exception>
    public static AnswerJournal Open(string path, IReadOnlyDictionary<string, string> identity, int block, bool restart = false)
    {
        FileStream file;
        try
        {
            file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException error) when (File.Exists(path))
        {
            throw new ToolException(
                ExitCode.Data, $"{path} cannot be opened ({error.Message}): does another process answer into it?", error);
        }
        var journal = new AnswerJournal(file, path);
        try
        {
            if (restart) file.SetLength(0);
            journal.Resume(identity, block);
            return journal;
        }
        catch
        {
            journal.Dispose();
            throw;
        }
    }

    /// <summary>Adds a block; it is on the disk when this returns.</summary>
    public void Append(IReadOnlyList<AnsweredRow> rows)
    {
        if (rows.Count == 0) return;
        Write(string.Concat(rows.Select(row => JsonSerializer.Serialize(row) + "\n")));
        (Count, LastRow) = (Count + rows.Count, rows[^1].Row);
    }

    /// <summary>All rows, in order.</summary>
    public IEnumerable<AnsweredRow> Rows()
    {
        _file.Position = 0;
        using var reader = new StreamReader(_file, Encoding.UTF8, detectEncodingFromByteOrderMarks: false, leaveOpen: true);
        reader.ReadLine();
        while (reader.ReadLine() is { } line) yield return JsonSerializer.Deserialize<AnsweredRow>(line)!;
    }

    /// <summary>Removes the file: the run is done.</summary>
    public void Delete() => File.Delete(_path);

    public void Dispose() => _file.Dispose();

    private void Resume(IReadOnlyDictionary<string, string> identity, int block)
    {
        // Where each whole line ends, and the row that it holds.
        var ends = new List<(long End, long Row)>();
        long position = 0;
        foreach (byte[] line in WholeLines())
        {
            position += line.Length + 1;
            try
            {
                if (ends.Count == 0) RequireSame(identity, Read<Dictionary<string, string>>(line));
                long row = ends.Count == 0 ? -1 : Read<AnsweredRow>(line).Row;
                if (ends.Count > 0 && row <= ends[^1].Row) throw new JsonException($"row {row} stands after row {ends[^1].Row}");
                ends.Add((position, row));
            }
            catch (JsonException error)
            {
                throw new ToolException(
                    ExitCode.Data, $"{_path}, line {ends.Count + 1}, is damaged ({error.Message}): --restart begins anew.", error);
            }
        }

        Count = ends.Count == 0 ? 0 : (ends.Count - 1) / block * block;
        (long end, LastRow) = ends.Count == 0 ? (0, -1) : ends[(int)Count];
        _file.SetLength(end);
        _file.Position = end;
        if (ends.Count == 0) Write(JsonSerializer.Serialize(identity) + "\n");
    }

    private static T Read<T>(byte[] line) => JsonSerializer.Deserialize<T>(line, Strict) ?? throw new JsonException("it is null");

    /// <summary>Reads lines that end in a line feed, without it; the bytes after the last one are an unfinished write.</summary>
    private IEnumerable<byte[]> WholeLines()
    {
        var buffered = new BufferedStream(_file);                   // not disposed: the file stays open
        var line = new MemoryStream();
        for (int next; (next = buffered.ReadByte()) >= 0;)
        {
            if (next != '\n')
            {
                line.WriteByte((byte)next);
                continue;
            }
            yield return line.ToArray();
            line.SetLength(0);
        }
    }

    private void RequireSame(IReadOnlyDictionary<string, string> identity, Dictionary<string, string> begun)
    {
        foreach (string name in identity.Keys.Union(begun.Keys))
        {
            string now = identity.GetValueOrDefault(name, "none"), then = begun.GetValueOrDefault(name, "none");
            if (now != then) throw new ToolException(
                ExitCode.Usage,
                $"{_path} was begun with {name} {then}, and now it is {now}: give the same again, or --restart to begin anew.");
        }
    }

    private void Write(string text)
    {
        _file.Position = _file.Length;
        _file.Write(Encoding.UTF8.GetBytes(text));
        _file.Flush(flushToDisk: true);
    }
}
