using System.Diagnostics;
using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using TorchSharp;

namespace DiffusionGemma.Samples;

/// <summary>
/// The common part of the fine-tuning samples: measure on held-out rows, fine-tune, measure again, save, and answer in a fresh process.
/// </summary>
internal sealed class FineTuneSample(Arguments arguments, FineTuneOptions options, Func<MLContext, string, IDataView> read, int lossRows,
    int answerRows)
{
    private const int Shown = 3;
    private readonly MLContext _ml = new(seed: 42);

    /// <summary>Runs the sample.</summary>
    /// <remarks>Under mpirun every process trains, and the first does the rest.</remarks>
    public void Run()
    {
        bool isFirst = TrainingProcesses.IsFirst;
        if (!isFirst) Console.SetOut(TextWriter.Null);
        DiffusionGemmaCatalog gemma = _ml.Transforms.DiffusionGemma;
        _ml.Log += (_, log) =>
        {
            if (log.Kind >= Microsoft.ML.Runtime.ChannelMessageKind.Warning || log.RawMessage.StartsWith("LoRA", StringComparison.Ordinal)
                || log.RawMessage.Contains("rows to train on", StringComparison.Ordinal))
                Console.WriteLine(log.RawMessage);
        };
        Console.WriteLine(DiffusionGemmaRuntime.Describe());
        Directory.CreateDirectory(arguments.Out);

        IDataView train = read(_ml, Path.Combine(arguments.Data, "train.parquet"));
        IDataView heldOut = read(_ml, Path.Combine(arguments.Data, "test.parquet"));
        var prepare = gemma.TokenizeChat(arguments.Checkpoint).Append(gemma.MaskResponse())
            .Append(gemma.PackCanvas(arguments.Checkpoint, maxLength: 512));
        IDataView losses = prepare.Fit(train).Transform(_ml.Data.TakeRows(heldOut, lossRows));
        IDataView questions = _ml.Data.TakeRows(heldOut, answerRows);

        Console.WriteLine("Before:");
        if (isFirst)
        {
            using var untrained = prepare.Append(gemma.Answer(arguments.Checkpoint)).Fit(train);
            Measure(untrained, losses, questions);
        }

        FineTuneOptions run = options with { Devices = arguments.Ranks is int ranks ? torch.Device.Cpu(ranks) : null };
        if (arguments.Full) run = run with { Lora = null, OutputFolder = Path.Combine(arguments.Out, "checkpoint") };
        var clock = Stopwatch.StartNew();
        using var model = prepare.Append(gemma.FineTune(arguments.Checkpoint, run, progress: new StepPrinter())).Fit(train);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"Trained {model.LastTransformer.Summary!.TrainedParameterCount:N0} parameters in {clock.Elapsed.TotalSeconds:F0} s."));

        if (!isFirst) return;

        Console.WriteLine("After:");
        string[] answers = Measure(model, losses, questions);
        Save(model, train.Schema, answers);
    }

    /// <summary>The fresh process: loads the saved model, and answers.</summary>
    public void Load()
    {
        ITransformer loaded = _ml.Model.Load(arguments.Load, out _);
        IDataView questions = _ml.Data.TakeRows(read(_ml, Path.Combine(arguments.Data, "test.parquet")), Shown);
        foreach (string answer in loaded.Transform(questions).GetColumn<string>("Response"))
            Console.WriteLine($"  {OneLine(answer)}");
    }

    private string[] Measure(TransformerChain<DiffusionGemmaTransformer> model, IDataView losses, IDataView questions)
    {
        EvaluationRecord loss = model.LastTransformer.EvaluateLoss(losses);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"  held-out loss: diffusion {loss.DiffusionLoss:F4}, encoder {loss.EncoderLoss:F4}"));
        AnswerMetrics metrics = _ml.Transforms.DiffusionGemma.Evaluate(model, questions, AnswerMatch.Number);
        AnswerResult[] results = [.. _ml.Data.CreateEnumerable<AnswerResult>(metrics.Results, reuseRowObject: false)];
        foreach (AnswerResult result in results.Take(Shown))
            Console.WriteLine($"  expected: {OneLine(result.Expected)}\n  answered: {OneLine(result.Response)}");
        Console.WriteLine($"  {metrics}");
        return [.. results.Select(result => result.Response)];
    }

    private void Save(TransformerChain<DiffusionGemmaTransformer> model, DataViewSchema schema, string[] answers)
    {
        // ML.NET truncates the file that it saves to: a new name, then a move, keeps the old model until the new one is whole.
        string zip = Path.Combine(arguments.Out, "model.zip"), fresh = zip + ".new";
        _ml.Model.Save(model, schema, fresh);
        File.Move(fresh, zip, overwrite: true);
        Console.WriteLine($"Saved {zip}");
        if (model.LastTransformer.Adapter is not null)
        {
            string adapter = Path.Combine(arguments.Out, "adapter");
            model.LastTransformer.SaveAdapter(adapter);
            string checkpoint = HubRepository.TryFindCached(arguments.Checkpoint, out string? folder) ? folder : arguments.Checkpoint;
            using var again = DiffusionGemmaModel.Load(checkpoint);
            using LoraAdapter loaded = LoraAdapter.Load(adapter, again);
            Console.WriteLine($"Saved {adapter} (PEFT), and loaded it again: {loaded.Modules.Count} modules of rank {loaded.Rank}");
        }

        Console.WriteLine("A fresh process loads the saved model and answers:");
        var start = new ProcessStartInfo(Environment.ProcessPath!,
            ["--load", zip, "--data", arguments.Data])
        { RedirectStandardOutput = true };
        foreach (string name in start.Environment.Keys.Where(k => k.StartsWith("OMPI_", StringComparison.Ordinal)
            || k.StartsWith("PMI", StringComparison.Ordinal)).ToList())
            start.Environment.Remove(name);                                                    // it is no rank of this job
        using Process process = Process.Start(start)!;
        string printed = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Console.Write(printed);
        string[] lines = printed.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        if (process.ExitCode != 0 || !lines.Select(l => l.Trim()).SequenceEqual(answers.Take(Shown).Select(a => OneLine(a).Trim())))
            throw new InvalidOperationException("The fresh process did not give the answers of this one.");
        Console.WriteLine("They are this process's own answers.");
    }

    private static string OneLine(string text) => text.ReplaceLineEndings(" / ");
}
