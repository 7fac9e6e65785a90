using System.Reflection;
using TorchSharp;

namespace DiffusionGemma;

/// <summary>build/BannedSymbols.txt names symbols as compilers do; a name that nothing bears would ban nothing, in silence.</summary>
public class BannedSymbolsTests
{
    private static readonly string[] Banned =
        [.. File.ReadLines(
            Path.Combine(Fixtures.Root, "build", "BannedSymbols.txt")).Where(line => line.Length > 0).Select(line => line.Split(';')[0])];

    private static readonly HashSet<string> Known = [.. typeof(torch).Assembly.GetExportedTypes().SelectMany(Ids)];

    public static TheoryData<string> Symbols() => [.. Banned];

    [Theory]
    [MemberData(nameof(Symbols))]
    public void Every_banned_symbol_exists(string symbol) => Assert.Contains(symbol, Known);

    /// <summary>A ban on one overload would leave the others open.</summary>
    [Theory]
    [MemberData(nameof(Symbols))]
    public void Every_overload_of_a_banned_method_is_banned(string symbol)
    {
        string name = symbol.Split('(')[0] + "(";
        Assert.All(Known.Where(id => id.StartsWith(name, StringComparison.Ordinal)), id => Assert.Contains(id, Banned));
    }

    [Fact]
    public void Every_ban_says_what_to_do()
    {
        Assert.True(Banned.Length >= 8);
        Assert.All(
            File.ReadLines(
                Path.Combine(Fixtures.Root, "build", "BannedSymbols.txt")), line => Assert.Matches(@"^[TM]:[^;]+;.{20,}$", line));
    }

    private static IEnumerable<string> Ids(Type type) =>
        [$"T:{Name(type)}", .. type.GetMethods(
            BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly).Where(m => !m
                .IsGenericMethod).Select(Id)];

    private static string Id(MethodInfo method)
    {
        string parameters = string.Join(',', method.GetParameters().Select(p => Name(p.ParameterType)));
        return $"M:{Name(method.DeclaringType!)}.{method.Name}{(parameters.Length > 0 ? $"({parameters})" : "")}";
    }

    /// <summary>A type as documentation comments write it; generic parameters are left out (nothing banned has any).</summary>
    private static string Name(Type type)
    {
        if (type.IsArray) return Name(type.GetElementType()!) + "[]";
        if (type.IsByRef) return Name(type.GetElementType()!) + "@";
        if (!type.IsConstructedGenericType) return (type.FullName ?? type.Name).Replace('+', '.');
        string open = type.GetGenericTypeDefinition().FullName!.Split('`')[0].Replace('+', '.');
        return $"{open}{{{string.Join(',', type.GenericTypeArguments.Select(Name))}}}";
    }
}
