using System.Globalization;

namespace DiffusionGemma.Samples;

/// <summary>The command line of the fine-tuning samples.</summary>
internal sealed record Arguments
{
    /// <summary>A folder with train.parquet and test.parquet, columns question and answer.</summary>
    public required string Data { get; init; }

    /// <summary>The checkpoint to fine-tune.</summary>
    public required string Checkpoint { get; init; }

    public required int MaxSteps { get; init; }

    /// <summary>The output folder.</summary>
    public required string Out { get; init; }

    /// <summary>Train every weight in place of an adapter.</summary>
    public bool Full { get; init; }

    /// <summary>CPU ranks that train together; null: as many as the machine has.</summary>
    /// <remarks>Not for mpirun, where every process is a rank.</remarks>
    public int? Ranks { get; init; }

    /// <summary>Set in the fresh process that the sample starts: the saved model to load.</summary>
    public string? Load { get; init; }

    /// <summary>Questions that are answered before and after; 0: none.</summary>
    public int Answers { get; init; }

    /// <summary>True for the checkpoint of the repository.</summary>
    public bool IsSmall => Path.GetFullPath(Checkpoint) == Repository.File("datasets", "tiny-chat");

    private static string Options => "Options: [--full] [--data FOLDER] [--checkpoint FOLDER|ID] [--max-steps N] [--ranks N] [--answers N] "
        + "[--out FOLDER] [--load ZIP]";

    /// <summary>True where help is asked for.</summary>
    public static bool IsHelp(string[] args) => args is ["--help" or "-h" or "help"];

    /// <returns>The exit code.</returns>
    public static int PrintHelp(string name, string purpose)
    {
        Console.WriteLine($"{name}: {purpose}\n{Options}");
        return 0;
    }

    public static Arguments? Parse(string[] args, Arguments defaults)
    {
        Arguments parsed = defaults;
        for (int i = 0; i < args.Length; i++)
        {
            string? value = i + 1 < args.Length ? args[i + 1] : null;
            switch (args[i])
            {
                case "--full":
                    parsed = parsed with { Full = true };
                    continue;
                case "--data" when value is not null:
                    parsed = parsed with { Data = value };
                    break;
                case "--checkpoint" when value is not null:
                    parsed = parsed with { Checkpoint = value };
                    break;
                case "--max-steps" when int.TryParse(value, CultureInfo.InvariantCulture, out int steps) && steps > 0:
                    parsed = parsed with { MaxSteps = steps };
                    break;
                case "--ranks" when int.TryParse(value, CultureInfo.InvariantCulture, out int ranks) && ranks > 0:
                    parsed = parsed with { Ranks = ranks };
                    break;
                case "--answers" when int.TryParse(value, CultureInfo.InvariantCulture, out int answers) && answers >= 0:
                    parsed = parsed with { Answers = answers };
                    break;
                case "--out" when value is not null:
                    parsed = parsed with { Out = value };
                    break;
                case "--load" when value is not null:
                    parsed = parsed with { Load = value };
                    break;
                default:
                    Console.Error.WriteLine($"'{args[i]}' is not understood.");
                    Console.Error.WriteLine(Options);
                    return null;
            }
            i++;
        }
        return parsed;
    }
}
