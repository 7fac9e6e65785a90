using System.Text.Json;
using Microsoft.ML;
using Microsoft.ML.Data;
using TorchSharp;

namespace DiffusionGemma.FineTuning;

/// <summary>Short runs on the tiny-chat checkpoint, on the CPU.</summary>
internal static class TinyChat
{
    public static string Checkpoint => Fixtures.Checkpoint("tiny-chat");

    /// <summary>Two steps of two rows: enough to move every adapted weight.</summary>
    public static FineTuneOptions Lora => new()
    {
        Lora = new LoraOptions { Rank = 4, Alpha = 8 },
        GlobalBatchSize = 2,
        MaxSteps = 2,
        WarmupSteps = 0,
        LearningRate = 1e-3,
        Devices = [torch.CPU],
    };

    /// <summary>A few passes a canvas; how good the answers are is not what these tests ask.</summary>
    public static GenerationOptions Quick => new() { MaxDenoisingSteps = 3, MaxNewTokens = 32 };

    /// <summary>Questions and answers of the arithmetic data set, the first of its training rows.</summary>
    public static IDataView Questions(MLContext ml, int rows) =>
        ml.Data.TakeRows(ml.Data.LoadChatFromParquet(Path.Combine(Fixtures.Root, "datasets", "arithmetic", "train.parquet"), "question",
            "answer"), rows);

    /// <summary>The prompts of <see cref="Questions"/>, as token ids.</summary>
    public static int[][] Prompts(MLContext ml, int rows)
    {
        DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
        IDataView questions = Questions(ml, rows);
        IDataView tokenized = gemma.TokenizeChat(Checkpoint).Append(gemma.MaskResponse()).Fit(questions).Transform(questions);
        return [.. tokenized.GetColumn<int[]>(ChatColumns.InputIds)
            .Zip(tokenized.GetColumn<int>(ChatColumns.PromptLength), (ids, length) => ids[..length])];
    }

    /// <summary>Conversations that end with the user.</summary>
    public static IDataView Unanswered(MLContext ml, params string[] questions) =>
        ml.Data.LoadChatFromEnumerable(questions.Select(question => new ConversationMessage[] { new("user", question) }));

    public static string Row(string content) => JsonSerializer.Serialize(new[] { new { role = "user", content } });

    /// <summary>A copy of the checkpoint with another chat template.</summary>
    public static TemporaryFolder WithTemplate(string template)
    {
        TemporaryFolder folder = Fixtures.Temporary("template");
        foreach (string file in Directory.EnumerateFiles(Checkpoint))
            File.Copy(file, folder.File(Path.GetFileName(file)));
        File.WriteAllText(folder.File("chat_template.jinja"), template);
        return folder;
    }

    /// <summary>Everything before the fine-tuning.</summary>
    public static IEstimator<ITransformer> Preparation(MLContext ml, int maxLength = 1024)
    {
        DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
        return gemma.TokenizeChat(Checkpoint).Append(gemma.MaskResponse()).Append(gemma.PackCanvas(Checkpoint, maxLength));
    }
}
