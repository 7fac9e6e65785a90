using System.Diagnostics;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Samples;

/// <summary>A process of its own that loads a saved model and answers.</summary>
internal static class FreshProcess
{
    /// <summary>Starts this program with <c>--load</c>, and prints what it answers.</summary>
    /// <exception cref="InvalidOperationException">It failed.</exception>
    public static void Answer(string zip, string data)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!, ["--load", zip, "--data", data]) { RedirectStandardOutput = true };
        foreach (string name in start.Environment.Keys.Where(IsOfLauncher).ToList())
            start.Environment.Remove(name);                                            // it is no rank of this job
        string printed;
        using (new Work("a fresh process loads the saved model"))
        {
            using Process process = Process.Start(start)!;
            printed = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            if (process.ExitCode != 0) throw new InvalidOperationException("The fresh process could not answer.");
        }
        Console.Write(printed);
    }

    /// <summary>Loads the model in that process, and prints three answers.</summary>
    public static void Run(MLContext ml, string zip, IDataView questions)
    {
        ITransformer model = ml.Model.Load(zip, out _);
        foreach (string answer in model.Transform(ml.Data.TakeRows(questions, 3)).GetColumn<string>("Response"))
            Console.WriteLine($"  {answer.ReplaceLineEndings(" / ")}");
    }

    private static bool IsOfLauncher(string name) =>
        name.StartsWith("OMPI_", StringComparison.Ordinal) || name.StartsWith("PMI", StringComparison.Ordinal);
}
