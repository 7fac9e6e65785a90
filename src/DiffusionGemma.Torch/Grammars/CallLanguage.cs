namespace DiffusionGemma;

/// <summary>Tool calls as a language, with arguments from the tools' schemas.</summary>
internal static class CallLanguage
{
    /// <summary>One call, or several in a row, and what may follow the last.</summary>
    /// <param name="tools">The tools.</param>
    /// <param name="syntax">The tokens.</param>
    /// <param name="options">Limits; a tool that exceeds them has free arguments.</param>
    /// <param name="several">Whether more than one call may be made.</param>
    public static Language Create(IReadOnlyList<CallableTool> tools, CallSyntax syntax, GrammarOptions options, bool several)
    {
        // Each tool has its share, so that all together keep to the limit.
        var share = options with { MostStates = Math.Max(options.MostStates / (2 * tools.Count), 64) };
        Language call = new Language.Sequence(
        [
            new Language.Token(syntax.Open), new Language.Choice([.. tools.Select(tool => Call(tool, syntax, share))]),
            new Language.Token(syntax.Close),
        ]);
        Language calls = several ? new Language.Repeat(call, 1, null) : call;
        return syntax.Response is { } response
            ? new Language.Sequence([calls, Language.Optional(new Language.Token(response))]) : calls;
    }

    private static Language Call(CallableTool tool, CallSyntax syntax, GrammarOptions options) =>
        new Language.Sequence([Language.Text($"call:{tool.Name}"), Arguments(tool, syntax, options)]);

    private static Language Arguments(CallableTool tool, CallSyntax syntax, GrammarOptions options)
    {
        try
        {
            Language arguments = JsonSchemaReader.Read(tool.Schema, options, new CallValueForm(syntax.Quote));
            if (!LanguageCompiler.Compile(arguments, options.MostStates).IsEmpty) return arguments;
        }
        catch (GrammarException)
        {
            // Schemas of tools hold what no grammar does; the call's form is required all the same.
        }
        Language any = CharacterEncoding.Utf8(new Language.Characters(CodePointSet.All));
        return new Language.Sequence(
        [
            Language.Text("{"), new Language.Repeat(new Language.Choice([any, new Language.Token(syntax.Quote)]), 0, null),
            Language.Text("}"),
        ]);
    }
}
