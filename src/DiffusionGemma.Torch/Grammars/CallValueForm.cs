using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace DiffusionGemma;

/// <summary>
/// Values as Gemma 4 writes a call's arguments: bare names in the order of the alphabet, texts as they are between two quote tokens.
/// <code>
/// {city:&lt;|"|>Oslo&lt;|"|>,days:3}
/// </code>
/// </summary>
/// <param name="quote">The id of the token around texts.</param>
internal sealed class CallValueForm(int quote) : ValueForm
{
    private const string QuoteText = "<|\"|>";

    /// <summary>As the template sorts them: whatever their case.</summary>
    public override IEnumerable<KeyValuePair<string, JsonNode?>> Order(JsonObject properties) =>
        properties.OrderBy(property => property.Key.ToLowerInvariant(), StringComparer.Ordinal);

    public override Language Key(string name, string path) =>
        name.Length > 0 && name.All(c => char.IsLetterOrDigit(c) || c is '_' or '-' or '.' or '$')
            ? Language.Text($"{name}:") : throw new GrammarException($"The schema's {path} has a name that a call cannot hold.", path);

    public override Language String(IReadOnlyList<Language> contents, bool withControls)
    {
        // A quote token that is spelled out would end the text.
        Language content = contents.Select(CharacterEncoding.Utf8).Append(WithoutQuotes()).Aggregate((a, b) => new Language.Both(a, b));
        return new Language.Sequence([new Language.Token(quote), content, new Language.Token(quote)]);
    }

    public override Language Literal(JsonNode? value) => value switch
    {
        JsonObject @object => new Language.Sequence([Language.Text("{"), .. Joined(Order(@object).Select(Pair)), Language.Text("}")]),
        JsonArray array => new Language.Sequence([Language.Text("["), .. Joined(array.Select(Literal)), Language.Text("]")]),
        not null when value.GetValueKind() == JsonValueKind.String =>
            new Language.Sequence([new Language.Token(quote), Language.Text(value.GetValue<string>()), new Language.Token(quote)]),
        _ => Language.Text(JsonForm.Write(value)),
    };

    private Language.Sequence Pair(KeyValuePair<string, JsonNode?> property) =>
        new([Key(property.Key, property.Key), Literal(property.Value)]);

    private static IEnumerable<Language> Joined(IEnumerable<Language> items) =>
        items.SelectMany((item, index) => index == 0 ? new[] { item } : [Language.Text(","), item]);

    /// <summary>All bytes but the quote's own in a row: a state for each of them that was read.</summary>
    private static Language.Table WithoutQuotes()
    {
        byte[] text = Encoding.UTF8.GetBytes(QuoteText);
        var table = new StateTable();
        for (int state = 0; state < text.Length; state++) table.Add(isFinal: true);
        for (int state = 0; state < text.Length; state++)
            for (int symbol = 0; symbol < ByteAutomaton.Bytes; symbol++)
            {
                // No part of the text but the whole begins again within it: its first byte is nowhere else.
                int next = symbol == text[state] ? state + 1 : symbol == text[0] ? 1 : 0;
                if (next < text.Length) table.Connect(state, symbol, symbol, next);
            }
        return new Language.Table(table);
    }
}
