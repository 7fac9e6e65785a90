using System.Text;
using System.Text.Json;
using Microsoft.ML.Tokenizers;

namespace DiffusionGemma.Benchmarks;

/// <summary>
/// A tokenizer.json as the SentencePiece model that Microsoft.ML.Tokenizers' SentencePieceTokenizer reads: a piece an id, its score the
/// negative rank of the first merge that makes it. (google/sentencepiece, sentencepiece_model.proto.)
/// </summary>
internal static class TextSentencePiece
{
    private const int Normal = 1, Unknown = 2, Control = 3, Byte = 6;
    private const int Varint = 0, Bytes = 2, Fixed32 = 5;
    private const int BytePairs = 2;
    private const string UnknownPiece = "<unk>";

    public static SentencePieceTokenizer Create(JsonElement file)
    {
        JsonElement model = file.GetProperty("model");
        Dictionary<string, int> special = file.GetProperty("added_tokens").EnumerateArray()
            .ToDictionary(token => token.GetProperty("content").GetString()!, token => token.GetProperty("id").GetInt32());
        var scores = new Dictionary<string, float>();
        foreach (JsonElement merge in model.GetProperty("merges").EnumerateArray())
            scores.TryAdd(merge.ValueKind == JsonValueKind.String ? merge.GetString()!.Replace(" ", "", StringComparison.Ordinal)
                : merge[0].GetString() + merge[1].GetString(), -scores.Count);

        var proto = new MemoryStream();
        int next = 0;
        foreach (JsonProperty token in model.GetProperty("vocab").EnumerateObject().OrderBy(token => token.Value.GetInt32()))
        {
            for (; next < token.Value.GetInt32(); next++) WriteBytes(proto, 1, Piece($"<hole{next}>", 0, Control));
            next++;
            bool isByte = token.Name is ['<', '0', 'x', _, _, '>'];
            int type = token.Name == UnknownPiece ? Unknown : isByte ? Byte : special.ContainsKey(token.Name) ? Control : Normal;
            WriteBytes(proto, 1, Piece(token.Name, scores.GetValueOrDefault(token.Name), type));
        }
        WriteBytes(proto, 2, Message(trainer =>
        {
            WriteNumber(trainer, 3, BytePairs);
            WriteNumber(trainer, 35, 1);                            // byte_fallback
            WriteNumber(trainer, 40, special[UnknownPiece]);
            WriteNumber(trainer, 41, special["<bos>"]);
            WriteNumber(trainer, 42, special["<eos>"]);
        }));
        WriteBytes(proto, 3, Message(normalizer =>
        {
            WriteNumber(normalizer, 3, 0);                          // add_dummy_prefix
            WriteNumber(normalizer, 4, 0);                          // remove_extra_whitespaces
            WriteNumber(normalizer, 5, 1);                          // escape_whitespaces
        }));
        proto.Position = 0;
        return SentencePieceTokenizer.Create(proto, addBeginningOfSentence: false, addEndOfSentence: false, special);
    }

    private static byte[] Piece(string text, float score, int type) => Message(piece =>
    {
        WriteBytes(piece, 1, Encoding.UTF8.GetBytes(text));
        WriteTag(piece, 2, Fixed32);
        piece.Write(BitConverter.GetBytes(score));
        WriteNumber(piece, 3, type);
    });

    private static byte[] Message(Action<MemoryStream> write)
    {
        var message = new MemoryStream();
        write(message);
        return message.ToArray();
    }

    private static void WriteBytes(MemoryStream proto, int field, byte[] bytes)
    {
        WriteTag(proto, field, Bytes);
        WriteVarint(proto, (uint)bytes.Length);
        proto.Write(bytes);
    }

    private static void WriteNumber(MemoryStream proto, int field, int value)
    {
        WriteTag(proto, field, Varint);
        WriteVarint(proto, (uint)value);
    }

    private static void WriteTag(MemoryStream proto, int field, int wireType) => WriteVarint(proto, (uint)((field << 3) | wireType));

    private static void WriteVarint(MemoryStream proto, uint value)
    {
        for (; value >= 0x80; value >>= 7) proto.WriteByte((byte)(value | 0x80));
        proto.WriteByte((byte)value);
    }
}
