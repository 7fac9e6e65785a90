namespace DiffusionGemma.Snippets;

/// <summary>
/// A program as a document prints it: a C# block that begins with a using directive, and the blocks after it that do not. An HTML comment
/// <c>&lt;!-- compile only: reason --&gt;</c> on the line before its first block keeps it from being run.
/// </summary>
/// <param name="Document">The document, relative to the repository's root.</param>
/// <param name="Line">The line of its first block, from 1.</param>
/// <param name="Source">C#, with #line directives that lead back to the document.</param>
/// <param name="CompileOnly">Why it is not run; null: it is.</param>
internal sealed record SnippetProgram(string Document, int Line, string Source, string? CompileOnly)
{
    private const string Fence = "```", Begin = Fence + "csharp", CompileOnlyMark = "<!-- compile only:";

    /// <summary>The programs of a document, in order.</summary>
    /// <exception cref="InvalidDataException">A block is not closed, or the first does not begin with a using directive.</exception>
    public static IReadOnlyList<SnippetProgram> In(string document, string text)
    {
        string[] lines = text.ReplaceLineEndings("\n").Split('\n');
        var programs = new List<SnippetProgram>();
        for (int at = 0; at < lines.Length; at++)
        {
            if (lines[at].Trim() != Begin) continue;
            int end = Array.FindIndex(lines, at + 1, line => line.Trim() == Fence);
            if (end < 0) throw new InvalidDataException($"{document}, line {at + 1}: the block is not closed.");
            string block = Block(document, at + 2, lines[(at + 1)..end]);
            if (IsDirective(lines[at + 1]))
                programs.Add(new SnippetProgram(document, at + 1, block, ReasonAt(lines, at - 1)));
            else if (programs is [.., var last])
                programs[^1] = last with { Source = last.Source + block };
            else
                throw new InvalidDataException($"{document}, line {at + 1}: the first C# block must begin with its using directives.");
            at = end;
        }
        return programs;
    }

    private static bool IsDirective(string line) =>
        line.StartsWith("using ", StringComparison.Ordinal) && line.EndsWith(';') && !line.Contains('=');

    private static string Block(string document, int line, string[] lines) => $"#line {line} \"{document}\"\n{string.Join('\n', lines)}\n";

    private static string? ReasonAt(string[] lines, int at)
    {
        while (at >= 0 && lines[at].Length == 0) at--;
        if (at < 0 || !lines[at].StartsWith(CompileOnlyMark, StringComparison.Ordinal)) return null;
        return lines[at][CompileOnlyMark.Length..].Replace("-->", "", StringComparison.Ordinal).Trim();
    }
}
