using System.Globalization;

namespace DiffusionGemma.Soak;

/// <summary>The command line.</summary>
internal sealed record SoakArguments
{
    public const string Memory = "memory", Soak = "soak";

    public const string Usage = """
        usage: DiffusionGemma.Soak memory [--rounds 200] [--steps 40] [--questions 16]
               DiffusionGemma.Soak soak [--minutes 10] [--rows 1000000] [--requests 10000] [--callers 32]
                                     [--only lives|ranks|rows|chat]

        memory  trains, saves, loads and asks one model after the other
        soak    the same for so many minutes, half of them on four ranks, with cancelled runs and answers, then rows through the text
                side, then chat requests of which a third are cancelled in the middle; collections are forced all the while
        Exit code 1: something has grown beyond its limit, or an answer was wrong.
        """;

    private static readonly Dictionary<string, Func<SoakArguments, int, SoakArguments>> MemoryOptions = new()
    {
        ["--rounds"] = (all, value) => all with { Rounds = value },
        ["--steps"] = (all, value) => all with { Steps = value },
        ["--questions"] = (all, value) => all with { Questions = value },
    };

    private static readonly Dictionary<string, Func<SoakArguments, int, SoakArguments>> SoakOptions = new()
    {
        ["--minutes"] = (all, value) => all with { Minutes = value },
        ["--rows"] = (all, value) => all with { Rows = value },
        ["--requests"] = (all, value) => all with { Requests = value },
        ["--callers"] = (all, value) => all with { Callers = value },
    };

    /// <summary><see cref="Memory"/> or <see cref="Soak"/>.</summary>
    public required string Command { get; init; }

    /// <summary>Rounds of the memory loop.</summary>
    public int Rounds { get; init; } = 200;

    /// <summary>Optimiser steps of each training of the memory loop.</summary>
    public int Steps { get; init; } = 40;

    /// <summary>Questions that each saved model of the memory loop answers.</summary>
    public int Questions { get; init; } = 16;

    /// <summary>Minutes of training, saving, loading and answering, on one rank and on four together.</summary>
    public int Minutes { get; init; } = 10;

    /// <summary>Rows through the text side.</summary>
    public int Rows { get; init; } = 1_000_000;

    /// <summary>Chat requests.</summary>
    public int Requests { get; init; } = 10_000;

    /// <summary>Callers that make these requests at once.</summary>
    public int Callers { get; init; } = 32;

    /// <summary>The one part of the soak that runs; null: all.</summary>
    public string? Only { get; init; }

    /// <exception cref="ArgumentException">The command or an option is unknown, or a value is no positive number.</exception>
    public static SoakArguments Parse(ReadOnlySpan<string> arguments)
    {
        string[] parts = ["lives", "ranks", "rows", "chat"];
        if (arguments is not [Memory or Soak, ..]) throw new ArgumentException("The first argument is memory or soak.");
        var parsed = new SoakArguments { Command = arguments[0] };
        var options = parsed.Command == Memory ? MemoryOptions : SoakOptions;
        for (int n = 1; n < arguments.Length; n += 2)
        {
            if (parsed.Command == Soak && arguments[n] == "--only")
            {
                if (n + 1 == arguments.Length || !parts.Contains(arguments[n + 1]))
                    throw new ArgumentException($"--only needs one of {string.Join(", ", parts)}.");
                parsed = parsed with { Only = arguments[n + 1] };
                continue;
            }
            if (!options.TryGetValue(arguments[n], out Func<SoakArguments, int, SoakArguments>? set))
                throw new ArgumentException($"{arguments[n]} is no option of {parsed.Command}.");
            if (n + 1 == arguments.Length || !int.TryParse(arguments[n + 1], CultureInfo.InvariantCulture, out int value) || value < 1)
                throw new ArgumentException($"{arguments[n]} needs a positive number.");
            parsed = set(parsed, value);
        }
        return parsed;
    }
}
