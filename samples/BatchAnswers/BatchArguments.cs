using System.Globalization;

namespace DiffusionGemma.Samples;

/// <summary>The command line.</summary>
internal sealed record BatchArguments
{
    private const string Options =
        "Options: --input PARQUET --output PARQUET [--question-column NAME [--system-prompt TEXT] | --messages-column NAME] [--model ZIP "
            + "| --checkpoint FOLDER|ID] "
        + "[--batch-size N] [--max-new-tokens N] [--seed N] [--restart]";

    public string Input { get; init; } = "";

    public string Output { get; init; } = "";

    /// <summary>The column with the questions; null: the rows hold messages.</summary>
    public string? QuestionColumn { get; init; }

    public string? SystemPrompt { get; init; }

    public string MessagesColumn { get; init; } = "messages";

    /// <summary>A model saved by ML.NET; null: <see cref="Checkpoint"/> as it is.</summary>
    public string? Model { get; init; }

    public string Checkpoint { get; init; } = Repository.File("datasets", "tiny-chat");

    public int BatchSize { get; init; } = 8;

    public int? MaxNewTokens { get; init; }

    public long? Seed { get; init; }

    /// <summary>Throw away what an earlier run has answered.</summary>
    public bool Restart { get; init; }

    public static BatchArguments? Parse(string[] args)
    {
        var parsed = new BatchArguments();
        for (int i = 0; i < args.Length; i++)
        {
            string? value = i + 1 < args.Length ? args[i + 1] : null;
            bool number = long.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long n);
            bool count = number && n is > 0 and <= int.MaxValue;
            BatchArguments? next = args[i] switch
            {
                "--restart" => parsed with { Restart = true },
                "--input" when value is not null => parsed with { Input = value },
                "--output" when value is not null => parsed with { Output = value },
                "--question-column" when value is not null => parsed with { QuestionColumn = value },
                "--messages-column" when value is not null => parsed with { MessagesColumn = value },
                "--system-prompt" when value is not null => parsed with { SystemPrompt = value },
                "--model" when value is not null => parsed with { Model = value },
                "--checkpoint" when value is not null => parsed with { Checkpoint = value },
                "--batch-size" when count => parsed with { BatchSize = (int)n },
                "--max-new-tokens" when count => parsed with { MaxNewTokens = (int)n },
                "--seed" when number => parsed with { Seed = n },
                _ => null,
            };
            if (next is null) return Refuse($"'{args[i]}' is not understood{(value is null ? "" : $", or cannot be '{value}'")}.");
            i += args[i] == "--restart" ? 0 : 1;
            parsed = next;
        }
        return parsed.Input.Length > 0 && parsed.Output.Length > 0 ? parsed : Refuse("--input and --output are needed.");
    }

    private static BatchArguments? Refuse(string reason)
    {
        Console.Error.WriteLine(reason);
        Console.Error.WriteLine(Options);
        return null;
    }
}
