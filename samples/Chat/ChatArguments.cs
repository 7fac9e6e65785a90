using System.Globalization;

namespace DiffusionGemma.Samples;

/// <summary>The command line.</summary>
internal sealed record ChatArguments
{
    /// <summary>The options in a line.</summary>
    public const string Usage =
        "Options: [--checkpoint FOLDER|ID] [--adapter FOLDER] [--prompt TEXT|-] [--system TEXT] [--max-new-tokens N] [--steps N] "
            + "[--seed N] [--temperature X] [--pause MS]";

    public string Checkpoint { get; init; } = Repository.File("datasets", "tiny-chat");

    public string? Adapter { get; init; }

    /// <summary>Answer this, and end; - is standard input.</summary>
    public string? Prompt { get; init; }

    public string? System { get; init; }

    public int? MaxNewTokens { get; init; }

    public int? Steps { get; init; }

    public long Seed { get; init; }

    public float? Temperature { get; init; }

    /// <summary>Milliseconds to look at each draft: a small model is done before anything is seen.</summary>
    public int Pause { get; init; }

    /// <summary>Null, and a line on standard error, where they are not understood.</summary>
    public static ChatArguments? Parse(string[] args)
    {
        var parsed = new ChatArguments();
        for (int i = 0; i < args.Length; i += 2)
        {
            string? value = i + 1 < args.Length ? args[i + 1] : null;
            ChatArguments? next = args[i] switch
            {
                "--checkpoint" when value is not null => parsed with { Checkpoint = value },
                "--adapter" when value is not null => parsed with { Adapter = value },
                "--prompt" when value is not null => parsed with { Prompt = value },
                "--system" when value is not null => parsed with { System = value },
                "--max-new-tokens" when Number(value, 1) is { } tokens => parsed with { MaxNewTokens = tokens },
                "--steps" when Number(value, 1) is { } steps => parsed with { Steps = steps },
                "--pause" when Number(value, 0) is { } pause => parsed with { Pause = pause },
                "--seed" when long.TryParse(value, CultureInfo.InvariantCulture, out long seed) => parsed with { Seed = seed },
                "--temperature" when float.TryParse(value, CultureInfo.InvariantCulture, out float temperature) =>
                    parsed with { Temperature = temperature },
                _ => null,
            };
            if (next is null)
            {
                Console.Error.WriteLine($"'{string.Join(' ', args.Skip(i).Take(2))}' is not understood.");
                Console.Error.WriteLine(Usage);
                return null;
            }
            parsed = next;
        }
        return parsed;
    }

    private static int? Number(string? value, int least) => int.TryParse(value, CultureInfo.InvariantCulture, out int number)
        && number >= least ? number : null;
}
