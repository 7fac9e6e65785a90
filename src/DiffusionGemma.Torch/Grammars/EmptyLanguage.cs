namespace DiffusionGemma;

/// <summary>Finds the part of a language because of which it has no string at all.</summary>
internal static class EmptyLanguage
{
    /// <summary>The error of an empty language: its innermost part that allows nothing, where parts have names.</summary>
    /// <param name="language">A language without a string.</param>
    /// <param name="mostStates">The limit that it was compiled with.</param>
    public static GrammarException Fault(Language language, int mostStates)
    {
        const string Empty = "The grammar has no answer at all";
        return Find(language, mostStates) switch
        {
            null => new GrammarException($"{Empty}: no text satisfies every part of it."),
            { IsCut: true } cut => new GrammarException(
                $"{Empty}: the schema's {cut.Path} leads back into itself without an end. Give it an alternative, or take the property "
                + "that it stands in out of required.", cut.Path),
            { } part => new GrammarException(
                $"{Empty}: no value satisfies the schema's {part.Path}. Its type, values, bounds, lengths, format or pattern exclude each "
                + "other.", part.Path),
        };
    }

    private static Language.Part? Find(Language language, int mostStates) => language switch
    {
        Language.Part { IsCut: true } cut => cut,
        Language.Part part => IsEmpty(part, mostStates) ? Find(part.Inner, mostStates) ?? part : null,
        // Of alternatives all are empty, and each would have to be mended: the one around them is named.
        Language.Choice { Options: [var only] } => Find(only, mostStates),
        Language.Choice { Options.Count: > 1 } choice when choice.Options.All(option => option is Language.Part) => null,
        Language.Choice choice => First(choice.Options, mostStates),
        Language.Sequence sequence => First(sequence.Parts, mostStates),
        Language.Properties properties => First(
            [.. properties.Items.Where(property => property.IsRequired).Select(property => property.Item)], mostStates),
        Language.List list => Find(list.Item, mostStates),
        Language.Repeat { Least: > 0 } repeat => Find(repeat.Item, mostStates),
        _ => null,
    };

    private static Language.Part? First(IReadOnlyList<Language> languages, int mostStates) =>
        languages.Select(language => Find(language, mostStates)).FirstOrDefault(part => part is not null);

    private static bool IsEmpty(Language language, int mostStates) => LanguageCompiler.Compile(language, mostStates).IsEmpty;
}
