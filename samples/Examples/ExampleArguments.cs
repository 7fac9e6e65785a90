using System.Globalization;

namespace DiffusionGemma.Samples;

/// <summary>The command line; what it does not say suits the small checkpoint.</summary>
internal sealed record ExampleArguments(string Name)
{
    /// <summary>The checkpoint's folder, or its id on the Hub.</summary>
    public string Checkpoint { get; init; } = Repository.File("datasets", "tiny-chat");

    /// <summary>Optimiser steps, where the example trains.</summary>
    public int Steps { get; init; } = 30;

    /// <summary>The folder that the example writes to.</summary>
    public string Out { get; init; } = Repository.File("out", "examples");

    /// <summary>Rows to train on: questions and answers in parquet.</summary>
    public static string TrainFile => Repository.File("datasets", "arithmetic", "train.parquet");

    /// <summary>Rows that are not trained on.</summary>
    public static string TestFile => Repository.File("datasets", "arithmetic", "test.parquet");

    /// <summary>A path in the output folder, which is made.</summary>
    public string OutFile(string name)
    {
        Directory.CreateDirectory(Out);
        return Path.Combine(Out, name);
    }

    /// <returns>Null where the arguments are not understood.</returns>
    public static ExampleArguments? Parse(string[] args)
    {
        if (args is not [var name, .. var rest] || rest.Length % 2 != 0) return null;
        var parsed = new ExampleArguments(name);
        foreach (string[] pair in rest.Chunk(2))
        {
            ExampleArguments? next = pair[0] switch
            {
                "--checkpoint" => parsed with { Checkpoint = pair[1] },
                "--out" => parsed with { Out = pair[1] },
                "--steps" when int.TryParse(pair[1], CultureInfo.InvariantCulture, out int steps) && steps > 1 =>
                    parsed with { Steps = steps },
                _ => null,
            };
            if (next is null) return null;
            parsed = next;
        }
        return parsed;
    }
}
