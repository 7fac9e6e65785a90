namespace DiffusionGemma.Jinja;

/// <summary>Methods of list, tuple and range. Those that would change a list are out of reach, as in transformers' sandbox.</summary>
internal static class SequenceMethods
{
    public static object? Find(PySequence sequence, string name) => name switch
    {
        "index" => new PyFunction(name, (interpreter, arguments) =>
        {
            object? wanted = arguments.Bind(name, 1, "value")[0];
            for (int i = 0; i < sequence.Count; i++)
            {
                if (PyCompare.AreEqual(sequence[i], wanted, interpreter.Budget))
                    return (long)i;
            }
            throw new TemplateException($"{PyText.Repr(wanted, interpreter.Budget)} is not in {sequence.TypeName}");
        }),
        "count" => new PyFunction(name, (interpreter, arguments) =>
        {
            object? wanted = arguments.Bind(name, 1, "value")[0];
            return (long)sequence.Count(item => PyCompare.AreEqual(item, wanted, interpreter.Budget));
        }),
        "copy" when sequence is PyList => new PyFunction(name, (_, _) => sequence),
        "append" or "clear" or "extend" or "insert" or "pop" or "remove" or "reverse" or "sort" when sequence is PyList =>
            new Undefined($"access to attribute '{name}' of 'list' object is unsafe."),
        _ => null,
    };
}
