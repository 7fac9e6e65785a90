using System.Globalization;

namespace DiffusionGemma.Samples;

/// <summary>The command line.</summary>
internal sealed record InspectArguments
{
    /// <summary>A file, a pattern, or a folder of parquet or JSON Lines files.</summary>
    public string Data { get; init; } = Repository.File("datasets", "gsm8k", "train.parquet");

    public string Checkpoint { get; init; } = Repository.File("datasets", "tiny-chat");

    public int MaxLength { get; init; } = 1024;

    /// <summary>The file of a chat template; null: the checkpoint's own.</summary>
    public string? ChatTemplate { get; init; }

    /// <summary>The number of rows shown; the figures are of all rows.</summary>
    public int Rows { get; init; } = 3;

    public static InspectArguments? Parse(string[] args)
    {
        var parsed = new InspectArguments();
        for (int i = 0; i < args.Length; i += 2)
        {
            string? value = i + 1 < args.Length ? args[i + 1] : null;
            InspectArguments? next = args[i] switch
            {
                "--data" when value is not null => parsed with { Data = value },
                "--checkpoint" when value is not null => parsed with { Checkpoint = value },
                "--chat-template" when value is not null => parsed with { ChatTemplate = value },
                "--max-length" when int.TryParse(value, CultureInfo.InvariantCulture, out int length)
                    && length > 0 => parsed with { MaxLength = length },
                "--rows" when int.TryParse(value, CultureInfo.InvariantCulture, out int rows) && rows >= 0 => parsed with { Rows = rows },
                _ => null,
            };
            if (next is null)
            {
                Console.Error.WriteLine($"'{args[i]}' is not understood.");
                Console.Error.WriteLine(
                    "Options: [--data FILE|PATTERN|FOLDER] [--checkpoint FOLDER|ID] [--chat-template FILE] [--max-length N] [--rows N]");
                return null;
            }
            parsed = next;
        }
        return parsed;
    }
}
