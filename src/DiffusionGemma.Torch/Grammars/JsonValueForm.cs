using System.Text.Json.Nodes;

namespace DiffusionGemma;

/// <summary>Values as JSON, in the one form of <see cref="JsonForm"/>.</summary>
internal sealed class JsonValueForm : ValueForm
{
    public static JsonValueForm Instance { get; } = new();

    public override IEnumerable<KeyValuePair<string, JsonNode?>> Order(JsonObject properties) => properties;

    public override Language Key(string name, string path) => Language.Text($"{JsonForm.Write(name)}:");

    public override Language String(IReadOnlyList<Language> contents, bool withControls)
    {
        Language content = contents.Select(part => CharacterEncoding.JsonString(part, withControls)).Aggregate(
            (a, b) => new Language.Both(a, b));
        return new Language.Sequence([Language.Text("\""), content, Language.Text("\"")]);
    }

    public override Language Literal(JsonNode? value) => Language.Text(JsonForm.Write(value));
}
