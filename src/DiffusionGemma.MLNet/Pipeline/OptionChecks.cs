namespace DiffusionGemma;

/// <summary>Checks of an options object, all of which are made, so that one error names all faults.</summary>
internal static class OptionChecks
{
    /// <param name="checks">Each throws an <see cref="ArgumentException"/> where its option is at fault.</param>
    /// <exception cref="ArgumentException">One check's own, or one that has the messages of all that failed.</exception>
    public static void All(params ReadOnlySpan<Action> checks)
    {
        List<ArgumentException> faults = [];
        foreach (Action check in checks)
        {
            try
            {
                check();
            }
            catch (ArgumentException fault)
            {
                faults.Add(fault);
            }
        }
        if (faults.Count == 1)
            throw faults[0];
        if (faults.Count > 1)
        {
            string messages = string.Join("\n  ", faults.Select(fault => fault.Message.Replace("\n", " ", StringComparison.Ordinal)));
            throw new ArgumentException($"{faults.Count} options are at fault:\n  {messages}", new AggregateException(faults));
        }
    }
}
