using System.Globalization;

namespace DiffusionGemma.Samples;

/// <summary>The command line of the samples of typed answers.</summary>
/// <param name="Checkpoint">The checkpoint to fine-tune.</param>
/// <param name="Rows">Rows to train on.</param>
/// <param name="HeldOut">Rows to measure on.</param>
/// <param name="MaxSteps">Optimiser steps.</param>
/// <param name="Out">The folder of the trained checkpoint.</param>
internal sealed record TypedArguments(string Checkpoint, int Rows, int HeldOut, int MaxSteps, string Out)
{
    /// <summary>Reads the command line; null where it is not understood, which is said.</summary>
    public static TypedArguments? Parse(string[] args, TypedArguments defaults)
    {
        TypedArguments parsed = defaults;
        for (int i = 0; i < args.Length; i += 2)
        {
            string? value = i + 1 < args.Length ? args[i + 1] : null;
            int number = int.TryParse(value, CultureInfo.InvariantCulture, out int read) ? read : 0;
            switch (args[i])
            {
                case "--checkpoint" when value is not null: parsed = parsed with { Checkpoint = value }; break;
                case "--out" when value is not null: parsed = parsed with { Out = value }; break;
                case "--rows" when number > 0: parsed = parsed with { Rows = number }; break;
                case "--held-out" when number > 0: parsed = parsed with { HeldOut = number }; break;
                case "--max-steps" when number > 0: parsed = parsed with { MaxSteps = number }; break;
                default:
                    Console.Error.WriteLine($"'{args[i]}' is not understood.");
                    Console.Error.WriteLine("Options: [--checkpoint FOLDER|ID] [--rows N] [--held-out N] [--max-steps N] [--out FOLDER]");
                    return null;
            }
        }
        return parsed;
    }
}
