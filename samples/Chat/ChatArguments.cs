using System.Globalization;

namespace DiffusionGemma.Samples;

/// <summary>The command line.</summary>
internal sealed record ChatArguments
{
    public required string Checkpoint { get; init; }

    /// <summary>Answer this, and end.</summary>
    public string? Prompt { get; init; }

    public string? System { get; init; }

    public int? MaxNewTokens { get; init; }

    public int? Steps { get; init; }

    public long Seed { get; init; }

    public static ChatArguments? Parse(string[] args, ChatArguments defaults)
    {
        ChatArguments parsed = defaults;
        for (int i = 0; i < args.Length; i++)
        {
            string name = args[i];
            bool known = name is "--checkpoint" or "--prompt" or "--system" or "--max-new-tokens" or "--steps" or "--seed";
            if (!known || i + 1 == args.Length)
            {
                Console.Error.WriteLine(known ? $"{name} wants a value." : $"'{name}' is not understood.");
                Console.Error.WriteLine("Usage: Chat [--checkpoint FOLDER] [--prompt TEXT] [--system TEXT] [--max-new-tokens N] [--steps N] [--seed N]");
                return null;
            }
            string value = args[++i];
            long number = 0;
            if (name is "--max-new-tokens" or "--steps" or "--seed" && !long.TryParse(value, NumberStyles.Integer, CultureInfo.InvariantCulture, out number))
            {
                Console.Error.WriteLine($"{name} wants a number, not '{value}'.");
                return null;
            }
            parsed = name switch
            {
                "--checkpoint" => parsed with { Checkpoint = value },
                "--prompt" => parsed with { Prompt = value },
                "--system" => parsed with { System = value },
                "--max-new-tokens" => parsed with { MaxNewTokens = checked((int)number) },
                "--steps" => parsed with { Steps = checked((int)number) },
                _ => parsed with { Seed = number },
            };
        }
        return parsed;
    }
}
