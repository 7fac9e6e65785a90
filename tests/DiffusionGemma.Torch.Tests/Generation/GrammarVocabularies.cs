using System.Text;
using System.Text.Json;

namespace DiffusionGemma;

/// <summary>tiny-chat's vocabulary as grammars take it, read straight from its tokenizer.json.</summary>
internal static class GrammarVocabularies
{
    public const int EndOfSequence = 1, TurnEnd = 106, LineBreak = 107;

    /// <summary>The vocabulary.</summary>
    /// <param name="withBytes">Whether byte tokens spell their bytes; false: they are no text, as in the reference's runs.</param>
    public static GrammarVocabulary TinyChat(bool withBytes)
    {
        string file = Path.Combine(Fixtures.Checkpoint("tiny-chat"), "tokenizer.json");
        using JsonDocument tokenizer = JsonDocument.Parse(File.ReadAllText(file));
        JsonElement vocabulary = tokenizer.RootElement.GetProperty("model").GetProperty("vocab");
        var special = tokenizer.RootElement.GetProperty("added_tokens").EnumerateArray().Where(t => t.GetProperty("special").GetBoolean())
            .Select(t => t.GetProperty("id").GetInt32()).ToHashSet();
        var bytes = new ReadOnlyMemory<byte>[vocabulary.EnumerateObject().Max(t => t.Value.GetInt32()) + 1];
        foreach (JsonProperty token in vocabulary.EnumerateObject())
        {
            int id = token.Value.GetInt32();
            if (special.Contains(id) || token.Name.StartsWith("<unused", StringComparison.Ordinal)) continue;
            bool isByte = token.Name.Length == 6 && token.Name.StartsWith("<0x", StringComparison.Ordinal);
            if (!isByte) bytes[id] = Encoding.UTF8.GetBytes(token.Name.Replace('\u2581', ' '));
            else if (withBytes) bytes[id] = new[] { Convert.ToByte(token.Name[3..5], 16) };
        }
        return new GrammarVocabulary(bytes, new AnswerEnding(EndOfSequence, TurnEnd, [LineBreak]));
    }
}
