using System.Text.Json.Nodes;

namespace DiffusionGemma;

/// <summary>The way in which values of a schema are written.</summary>
internal abstract class ValueForm
{
    /// <summary>The order in which an object's properties are written.</summary>
    public abstract IEnumerable<KeyValuePair<string, JsonNode?>> Order(JsonObject properties);

    /// <summary>A property's name, up to its value.</summary>
    /// <exception cref="GrammarException">The form cannot write the name.</exception>
    public abstract Language Key(string name, string path);

    /// <summary>A string with its quotes.</summary>
    /// <param name="contents">Languages over characters, all of which the string is a text of.</param>
    /// <param name="withControls">Whether control characters without a short escape may be in it.</param>
    public abstract Language String(IReadOnlyList<Language> contents, bool withControls);

    /// <summary>A value of an enum or const.</summary>
    public abstract Language Literal(JsonNode? value);
}
