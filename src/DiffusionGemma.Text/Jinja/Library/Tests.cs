using System.Numerics;

namespace DiffusionGemma.Jinja;

/// <summary>Jinja's tests by name: the words that may follow <c>is</c>.</summary>
internal static class Tests
{
    private delegate bool Test(Interpreter interpreter, object? value, Arguments arguments);

    private static readonly Dictionary<string, Test> All = Create();

    public static bool Exists(string name) => All.ContainsKey(name);

    public static bool Apply(Interpreter interpreter, string name, object? value, Arguments arguments) =>
        All.TryGetValue(name, out Test? test)
            ? test(interpreter, value, arguments) : throw new TemplateException($"no test named '{name}'");

    private static Dictionary<string, Test> Create()
    {
        Dictionary<string, Test> all = new(StringComparer.Ordinal)
        {
            ["defined"] = Simple(value => value is not Undefined),
            ["undefined"] = Simple(value => value is Undefined),
            ["none"] = Simple(value => value is null),
            ["boolean"] = Simple(value => value is bool),
            ["true"] = Simple(value => value is true),
            ["false"] = Simple(value => value is false),
            ["integer"] = Simple(value => value is long or BigInteger),
            ["float"] = Simple(value => value is double),
            ["number"] = Simple(PyNumber.IsNumber),
            ["string"] = Simple(value => value is string),
            ["mapping"] = Simple(value => value is PyDict),
            ["sequence"] = Simple(value => value is string or PySequence or PyDict or Undefined),
            ["iterable"] = Simple(value => value is string or PyDict or IEnumerable<object?> or Undefined or LoopContext),
            ["callable"] = Simple(value => value is PyFunction or LoopContext or Undefined),
            ["lower"] = (interpreter, value, _) => Has(PyText.Str(value, interpreter.Budget), "islower", interpreter),
            ["upper"] = (interpreter, value, _) => Has(PyText.Str(value, interpreter.Budget), "isupper", interpreter),
            ["odd"] = (interpreter, value, _) => Equals(PyOperators.Apply("%", value, 2L, interpreter.Budget), 1L),
            ["even"] = (interpreter, value, _) =>
                PyCompare.AreEqual(PyOperators.Apply("%", value, 2L, interpreter.Budget), 0L, interpreter.Budget),
            ["divisibleby"] = (interpreter, value, arguments) =>
                PyCompare.AreEqual(PyOperators.Apply("%", value, Other("divisibleby", arguments), interpreter.Budget), 0L,
                    interpreter.Budget),
            ["sameas"] = (_, value, arguments) => IsSame(value, Other("sameas", arguments)),
            ["filter"] = Simple(value => value is string name && Filters.Exists(name)),
            ["test"] = Simple(value => value is string name && Exists(name)),
        };
        foreach ((string sign, string[] names) in (ReadOnlySpan<(string, string[])>)[
            ("==", ["eq", "equalto"]), ("!=", ["ne"]), ("<", ["lt", "lessthan"]), ("<=", ["le"]), (">", ["gt", "greaterthan"]),
            (">=", ["ge"]), ("in", ["in"])])
        {
            foreach (string name in (string[])[sign, .. names])
                all[name] = (interpreter, value, arguments) => PyCompare.Compare(sign, value, Other(name, arguments), interpreter.Budget);
        }
        return all;
    }

    private static Test Simple(Func<object?, bool> test) => (_, value, arguments) =>
        arguments.Count == 0 ? test(value) : throw new TemplateException("this test takes no arguments");

    private static object? Other(string name, Arguments arguments) => arguments.Bind(name, 1, "other")[0];

    private static bool Has(string text, string method, Interpreter interpreter) =>
        StringMethods.Find(text, method)!.Invoke(interpreter, Arguments.None) is true;

    /// <summary>Python's <c>is</c>, as far as it can be relied on: constants, small numbers and the same object.</summary>
    private static bool IsSame(object? left, object? right) =>
        ReferenceEquals(left, right)
            || (left is not null and (bool or long or string) && left.GetType() == right?.GetType() && left.Equals(right));
}
