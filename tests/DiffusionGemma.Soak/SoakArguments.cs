using System.Globalization;

namespace DiffusionGemma.Soak;

/// <summary>The command line.</summary>
internal sealed record SoakArguments
{
    public const string Usage = """
        usage: DiffusionGemma.Soak memory [--rounds 200] [--steps 40] [--questions 16]
        """;

    /// <summary>Rounds of the memory loop.</summary>
    public int Rounds { get; init; } = 200;

    /// <summary>Optimiser steps of each training.</summary>
    public int Steps { get; init; } = 40;

    /// <summary>Questions that each saved model answers.</summary>
    public int Questions { get; init; } = 16;

    /// <exception cref="ArgumentException">An option is unknown, or its value is no positive number.</exception>
    public static SoakArguments Parse(ReadOnlySpan<string> arguments)
    {
        var parsed = new SoakArguments();
        for (int n = 0; n < arguments.Length; n += 2)
        {
            string option = arguments[n];
            if (n + 1 == arguments.Length || !int.TryParse(arguments[n + 1], CultureInfo.InvariantCulture, out int value) || value < 1)
                throw new ArgumentException($"{option} needs a positive number.");
            parsed = option switch
            {
                "--rounds" => parsed with { Rounds = value },
                "--steps" => parsed with { Steps = value },
                "--questions" => parsed with { Questions = value },
                _ => throw new ArgumentException($"{option} is no option."),
            };
        }
        return parsed;
    }
}
