namespace DiffusionGemma.Jinja;

/// <summary>
/// Value of a name or attribute that does not exist: prints as nothing, is false, and fails with its reason when it is used.
/// </summary>
internal sealed class Undefined(string reason)
{
    public string Reason => reason;

    public static Undefined Name(string name) => new($"'{name}' is undefined");

    public static Undefined Attribute(object? of, string name) =>
        new(of is null ? $"'None' has no attribute '{name}'" : $"'{PyType.NameOf(of)} object' has no attribute '{name}'");

    public static Undefined Item(object? of, object? key) => key is string name
        ? Attribute(of, name)
        : new($"{(of is null ? "None" : PyType.NameOf(of) + " object")} has no element "
            + (key is long number ? number : PyType.NameOf(key)));

    public TemplateException Fail() => new(reason);

    /// <summary>All undefined values are equal, as Jinja has it.</summary>
    public override bool Equals(object? obj) => obj is Undefined;

    public override int GetHashCode() => typeof(Undefined).GetHashCode();
}
