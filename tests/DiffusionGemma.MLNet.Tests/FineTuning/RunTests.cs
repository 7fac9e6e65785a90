using System.Reflection;
using System.Text.Json;
using Microsoft.ML;
using Microsoft.ML.Data;
using TorchSharp;

namespace DiffusionGemma.FineTuning;

/// <summary>A run through Fit: stopped, resumed, measured, kept within memory and disk.</summary>
public sealed class RunTests
{
    private static readonly FineTuneOptions Lora = TinyChat.Lora with { MaxSteps = 5, Epochs = 9 };

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_cancelled_Fit_goes_on_where_it_was_when_it_is_called_again(bool lora)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        FineTuneOptions options = lora ? Lora : Lora with { Lora = null, OutputFolder = folder.File("whole") };
        (StepRecord[] whole, string[] answers, _) = Fit(options);
        options = options with
        {
            Checkpoints = new RunCheckpointOptions { Folder = folder.File("run"), Resume = RunCheckpointOptions.Latest },
            OutputFolder = lora ? null : folder.File("resumed"),
        };
        Assert.ThrowsAny<OperationCanceledException>(() => Fit(options, cancelAfter: 2));
        Assert.Equal(["step-000002"], Directory.EnumerateDirectories(folder.File("run")).Select(Path.GetFileName));
        (StepRecord[] resumed, string[] again, List<string> lines) = Fit(options);
        Assert.Equal(whole.Select(s => (s.Step, s.Loss, s.GradientNorm)), resumed.Select(s => (s.Step, s.Loss, s.GradientNorm)));
        Assert.Equal(answers, again);
        Assert.Contains(lines, line => line.Contains("Resumed from", StringComparison.Ordinal)
            && line.Contains("after 2 steps", StringComparison.Ordinal));
        Assert.Equal(3, lines.Count(line => line.StartsWith("Info: step ", StringComparison.Ordinal)));
        Assert.Equal(answers, Fit(options).Answers);                                            // a run that is over is only read
    }

    [Fact]
    public void The_contexts_seed_is_the_runs_and_another_is_refused()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        FineTuneOptions options = Lora with
        {
            Checkpoints = new RunCheckpointOptions
            {
                Folder = folder.Path,
                Resume = RunCheckpointOptions.Latest
            }
        };
        Assert.ThrowsAny<OperationCanceledException>(() => Fit(options, cancelAfter: 2));
        Assert.Contains("Seed was 7 and is 8 now", Assert.Throws<TrainingException>(() => Fit(options, seed: 8)).Message,
            StringComparison.Ordinal);
        Assert.Contains("Seed was 7 and is 42 now", Assert.Throws<TrainingException>(() => Fit(options, seed: null)).Message,
            StringComparison.Ordinal);
        Assert.Equal(Fit(Lora).Steps.Select(s => s.Loss), Fit(options with { Seed = 7 }, seed: 8).Steps.Select(s => s.Loss));
    }

    [Fact]
    public void A_cancelled_Fit_may_return_the_model_as_it_stands()
    {
        (StepRecord[] whole, _, _) = Fit(Lora);
        (StepRecord[] steps, string[] answers, _) = Fit(Lora with { Run = Lora.Run with { ReturnOnCancellation = true } }, cancelAfter: 3);
        Assert.Equal(whole[..3].Select(s => s.Loss), steps.Select(s => s.Loss));
        Assert.NotEmpty(answers);
    }

    /// <summary>ML.NET's own way to end an experiment, which it keeps internal.</summary>
    [Fact]
    public void A_cancelled_context_ends_it_with_a_checkpoint()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        var ml = new MLContext(seed: 7);
        MethodInfo cancel = typeof(MLContext).GetMethod("CancelExecution", BindingFlags.Instance | BindingFlags.NonPublic)!;
        IDataView data = TinyChat.Questions(ml, 6), packed = TinyChat.Preparation(ml).Fit(data).Transform(data);
        var progress = new Immediate<StepRecord>(step =>
        {
            if (step.Step == 1) cancel.Invoke(ml, null);
        });
        FineTuneOptions options = Lora with { Checkpoints = new RunCheckpointOptions { Folder = folder.Path } };
        Assert.ThrowsAny<OperationCanceledException>(() => ml.Transforms.DiffusionGemma.FineTune(TinyChat.Checkpoint, options,
            progress: progress).Fit(packed));
        Assert.Equal(["step-000002"], Directory.EnumerateDirectories(folder.Path).Select(Path.GetFileName));
    }

    [Fact]
    public void A_held_out_view_is_evaluated_and_logged_while_the_history_fills()
    {
        var ml = new MLContext(seed: 7);
        IDataView data = TinyChat.Questions(ml, 8), packed = TinyChat.Preparation(ml).Fit(data).Transform(data);
        using PackedRowStore heldOut = ml.Transforms.DiffusionGemma.PackedRows(ml.Data.SkipRows(packed, 6));
        Assert.Equal(2, heldOut.Count);
        var history = new RunHistory();
        var told = new List<EvaluationRecord>();
        int[] seen = new int[4];
        var progress = new Immediate<StepRecord>(step => seen[step.Step] = history.Count);
        FineTuneOptions options = Lora with
        {
            MaxSteps = 4,
            History = history,
            Evaluation = new EvaluationOptions
            {
                Examples = heldOut, EverySteps = 2, Answers = 2,
                Progress = new Immediate<EvaluationRecord>(told.Add)
            },
        };
        List<string> lines = Logged(ml);
        using DiffusionGemmaTransformer trained = ml.Transforms.DiffusionGemma.FineTune(TinyChat.Checkpoint, options, progress: progress)
            .Fit(ml.Data.TakeRows(packed, 6));
        Assert.Equal([1, 2, 3, 4], seen);
        Assert.Equal(4, history.ToDataFrame().Rows.Count);
        Assert.Equal([2, 4], told.Select(e => e.Step));
        Assert.Equal(told, trained.Summary!.Evaluations);
        Assert.Equal(trained.EvaluateLoss(ml.Data.SkipRows(packed, 6), seed: 7).DiffusionLoss, told[^1].DiffusionLoss);
        Assert.Equal(2, lines.Count(line => line.StartsWith("Info: after ", StringComparison.Ordinal)
            && line.Contains("held-out loss", StringComparison.Ordinal) && line.EndsWith(" of 2 answers right", StringComparison.Ordinal)));
        Assert.Equal(4, lines.Count(line => line.StartsWith("Info: step ", StringComparison.Ordinal)));
        var scored = trained.Transform(ml.Data.SkipRows(packed, 6)).GetColumn<string>(ChatColumns.Messages).ToArray();
        foreach (EvaluationAnswer answer in told[^1].Answers)
        {
            var messages = JsonSerializer.Deserialize<JsonElement>(scored[answer.Row]);
            Assert.Contains(messages[0].GetProperty("content").GetString()!, answer.Prompt, StringComparison.Ordinal);
            Assert.Equal(messages[1].GetProperty("content").GetString(), answer.Expected);
            Assert.Equal(answer.Expected == answer.Response, answer.IsMatch);
            Assert.NotEmpty(answer.ResponseIds);
        }
    }

    [Theory]
    [InlineData("2 + 3 = 5. #### 5", "It is five. #### 5.0", true)]
    [InlineData("2 + 3 = 5. #### 5", "It is five. #### 6", false)]
    [InlineData("2 + 3 = 5. #### 5", "2 + 3 = 5.", false)]
    [InlineData("Yes.", " Yes.\n", true)]
    [InlineData("Yes.", "yes.", false)]
    public void Answers_are_compared_by_their_numbers_where_there_are_some(string expected, string response, bool isMatch)
    {
        var tokenizer = DiffusionGemmaTokenizer.Load(TinyChat.Checkpoint);
        EvaluationAnswer answer = new EvaluationAnswerReader(tokenizer).Read(new EvaluationAnswer
        {
            Row = 0, PromptIds = [2], ExpectedIds = [.. tokenizer.EncodeToIds(expected)],
            ResponseIds = [.. tokenizer.EncodeToIds(response)],
        });
        Assert.Equal((expected, response.Trim(), isMatch), (answer.Expected, answer.Response, answer.IsMatch));
    }

    /// <summary>The folder has everything but weights: nothing of them was looked for.</summary>
    [Fact]
    public void A_run_beyond_its_budget_is_refused_before_weights_are_loaded()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        foreach (string file in Directory.EnumerateFiles(TinyChat.Checkpoint)
            .Where(f => !f.EndsWith(".safetensors", StringComparison.Ordinal)))
            File.Copy(file, folder.File(Path.GetFileName(file)));
        var ml = new MLContext(seed: 7);
        IDataView data = TinyChat.Questions(ml, 4), packed = TinyChat.Preparation(ml).Fit(data).Transform(data);
        long tensors = DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount;
        var error = Assert.Throws<MemoryBudgetException>(() =>
            ml.Transforms.DiffusionGemma.FineTune(folder.Path, Lora with { Run = Lora.Run with { MemoryBudget = 1_000_000 } }).Fit(packed));
        Assert.Equal(1_000_000, error.Budget);
        Assert.Throws<CheckpointException>(() =>
            ml.Transforms.DiffusionGemma.FineTune(folder.Path, Lora with { Run = Lora.Run with { MemoryBudget = 1L << 40 } })
            .Fit(packed));
        Assert.Equal(tensors, DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount);
    }

    [Fact]
    public void Rows_beyond_their_memory_train_the_same_from_a_file_that_goes_also_after_an_error()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        Directory.CreateDirectory(folder.File("scratch"));
        var spilled = new TrainingRowOptions { MaxRowBytesInMemory = 0, ScratchFolder = folder.File("scratch") };
        Assert.Equal(Fit(Lora).Steps.Select(s => s.Loss), Fit(Lora, rows: spilled).Steps.Select(s => s.Loss));
        AssertNothingOpen();

        var ml = new MLContext(seed: 7);
        IDataView data = ml.Data.LoadChatFromEnumerable([TinyChat.Row("x"),
            """[{"role":"user","content":"1?"},{"role":"assistant","content":"2"}]""", "{}"]);
        Assert.Throws<ChatDataException>(() => TinyChat.Preparation(ml)
            .Append(ml.Transforms.DiffusionGemma.FineTune(TinyChat.Checkpoint, Lora, rows: spilled)).Fit(data));
        AssertNothingOpen();
        Assert.ThrowsAny<OperationCanceledException>(() => Fit(Lora, cancelAfter: 1, rows: spilled));
        AssertNothingOpen();
        File.WriteAllText(folder.File("file"), "");
        TrainingRowOptions unwritable = spilled with { ScratchFolder = folder.File("file") };
        Assert.Contains(
            "scratchFolder", Assert.Throws<TrainingException>(() => Fit(Lora, rows: unwritable)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => Fit(Lora, rows: spilled with { MaxRowBytesInMemory = -1 }));

        void AssertNothingOpen()
        {
            Assert.Empty(Directory.EnumerateFileSystemEntries(folder.File("scratch")));
            if (OperatingSystem.IsLinux())
                Assert.DoesNotContain(Directory.EnumerateFiles("/proc/self/fd"),
                    fd => (new FileInfo(fd).LinkTarget ?? "").StartsWith(folder.Path, StringComparison.Ordinal));
        }
    }

    /// <summary>
    /// The base is bfloat16, and so are the merged weights: answers are those of that folder, near the adapter's; losses differ by that
    /// rounding.
    /// </summary>
    [Fact]
    public void A_trained_model_is_exported_with_the_adapter_in_its_weights()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        var ml = new MLContext(seed: 7);
        DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
        IDataView data = TinyChat.Questions(ml, 6), packed = TinyChat.Preparation(ml).Fit(data).Transform(data);
        using DiffusionGemmaTransformer trained = gemma.FineTune(TinyChat.Checkpoint, Lora with { LearningRate = 1e-2 }, TinyChat.Quick)
            .Fit(packed);
        double before = trained.EvaluateLoss(packed).DiffusionLoss;
        trained.SaveMerged(folder.Path);
        Assert.Equal(before, trained.EvaluateLoss(packed).DiffusionLoss);
        using DiffusionGemmaTransformer merged = gemma.Answer(folder.Path, TinyChat.Quick).Fit(packed),
            plain = gemma.Answer(TinyChat.Checkpoint, TinyChat.Quick).Fit(packed);
        double without = plain.EvaluateLoss(packed).DiffusionLoss;
        Assert.True(Math.Abs(without - before) > 0.1, $"{without} {before}");
        Assert.Equal(before, merged.EvaluateLoss(packed).DiffusionLoss, 0.02);
        Assert.Equal(6, Views.Dump(merged.Transform(packed), "Response").Length);
        Assert.Contains("has no adapter", Assert.Throws<InvalidOperationException>(() => merged.SaveMerged(folder.File("again"))).Message,
            StringComparison.Ordinal);
    }

    private static (StepRecord[] Steps, string[] Answers, List<string> Lines) Fit(FineTuneOptions options, int? seed = 7,
        int cancelAfter = int.MaxValue, TrainingRowOptions? rows = null)
    {
        var ml = new MLContext(seed);
        List<string> lines = Logged(ml);
        using var cancel = new CancellationTokenSource();
        var progress = new Immediate<StepRecord>(step =>
        {
            if (step.Step + 1 == cancelAfter) cancel.Cancel();
        });
        IDataView data = TinyChat.Questions(ml, 6);
        using TransformerChain<DiffusionGemmaTransformer> model = TinyChat.Preparation(ml)
            .Append(ml.Transforms.DiffusionGemma.FineTune(TinyChat.Checkpoint, options, TinyChat.Quick, progress: progress,
                rows: rows, cancellation: cancel.Token)).Fit(data);
        return ([.. model.LastTransformer.Summary!.History], Views.Dump(model.Transform(data), "Response", "ResponseIds"), lines);
    }

    private static List<string> Logged(MLContext ml)
    {
        var lines = new List<string>();
        ml.Log += (_, line) =>
        {
            lock (lines) lines.Add($"{line.Kind}: {line.RawMessage}");
        };
        return lines;
    }

    private sealed class Immediate<T>(Action<T> report) : IProgress<T>
    {
        public void Report(T value) => report(value);
    }
}
