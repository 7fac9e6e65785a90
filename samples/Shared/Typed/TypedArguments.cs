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
    private const string Options = "Options: [--checkpoint FOLDER|ID] [--rows N] [--held-out N] [--max-steps N] [--out FOLDER]";

    /// <summary>Writes what the program does and its options where help is asked for; true then.</summary>
    /// <param name="args">The command line.</param>
    /// <param name="about">The program in a sentence.</param>
    /// <param name="defaults">The values of options that are left out.</param>
    public static bool WriteHelp(string[] args, string about, TypedArguments defaults)
    {
        if (args is not ["--help" or "-h" or "help"]) return false;
        Console.WriteLine(about);
        Console.WriteLine(Options);
        Console.WriteLine($"Left out: --rows {defaults.Rows} --held-out {defaults.HeldOut} --max-steps {defaults.MaxSteps}, "
            + $"--checkpoint {defaults.Checkpoint} --out {defaults.Out}");
        return true;
    }

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
                    Console.Error.WriteLine(Options);
                    return null;
            }
        }
        return parsed;
    }
}
