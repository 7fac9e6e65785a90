namespace DiffusionGemma;

/// <summary>Counts of rows by their notes.</summary>
internal sealed class RowNoteCounts
{
    private readonly SortedDictionary<string, int> _ignoredKeys = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, int> _lastRoles = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, int> _roles = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, int> _template = new(StringComparer.Ordinal);

    public int EmptyAnswers { get; private set; }

    public int SpecialTokens { get; private set; }

    public int UnlearnedEnds { get; private set; }

    /// <summary>Rows by key that holds a value which the chat template does not write.</summary>
    public IReadOnlyDictionary<string, int> IgnoredKeys => _ignoredKeys;

    /// <summary>Sentences on the chat template, each once.</summary>
    public IReadOnlyList<string> TemplateNotices => [.. _template.Keys];

    public void Add(IEnumerable<string> notes)
    {
        foreach (string note in notes)
        {
            EmptyAnswers += note == RowNote.EmptyAnswer ? 1 : 0;
            SpecialTokens += note == RowNote.SpecialToken ? 1 : 0;
            UnlearnedEnds += note == RowNote.EndOfTurn ? 1 : 0;
            if (RowNote.ReadIgnoredKey(note) is { } key)
                _ignoredKeys[key] = _ignoredKeys.GetValueOrDefault(key) + 1;
            if (RowNote.ReadUnknownLastRole(note) is { } role)
                _lastRoles[role] = _lastRoles.GetValueOrDefault(role) + 1;
            if (RowNote.ReadUnknownRole(note) is { } unknown)
                _roles[unknown] = _roles.GetValueOrDefault(unknown) + 1;
            if (RowNote.ReadTemplate(note) is { } notice)
                _template[notice] = _template.GetValueOrDefault(notice) + 1;
        }
    }

    /// <summary>Sentences about what training would miss; none where there is nothing to say.</summary>
    public IEnumerable<string> Warnings()
    {
        if (_ignoredKeys.Count > 0)
            yield return $"the chat template does not write these keys, so that nothing is learned from them: {List(_ignoredKeys)}";
        if (_lastRoles.Count > 0)
        {
            yield return "rows that end with these roles count as having no answer, because answers are of the role 'assistant': "
                + List(_lastRoles);
        }
        if (_roles.Count > 0)
            yield return $"these roles are none of user, assistant, system, developer and tool: {List(_roles)}";
        if (UnlearnedEnds > 0)
        {
            yield return $"the model will not learn to end its turn: in {Counted.Rows(UnlearnedEnds)} the chat template writes the end of "
                + "the turn outside {% generation %}";
        }
        foreach ((string notice, int rows) in _template)
            yield return $"{notice} ({Counted.Rows(rows)})";
        if (SpecialTokens > 0)
        {
            yield return $"{Counted.Rows(SpecialTokens)} {Counted.Word(SpecialTokens, "holds", "hold")} the text of special tokens, which "
                + "become those tokens; TokenizeChat(escapeSpecialTokens: true) keeps them text";
        }
    }

    private static string List(IReadOnlyDictionary<string, int> counts) =>
        string.Join(", ", counts.Select(count => $"'{count.Key}' of {Counted.Rows(count.Value)}"));
}
