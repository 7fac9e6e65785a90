using DiffusionGemma.FineTuning;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Catalog;

/// <summary>The steps work with ML.NET's own: caching, splits, files, filters, custom mappings and renamed columns.</summary>
public sealed class PipelineTests
{
    private readonly MLContext _ml = new(seed: 3);

    private DiffusionGemmaCatalog Gemma => _ml.Transforms.DiffusionGemma;

    private static AnswerOptions Quick => new() { Generation = TinyChat.Quick, BatchSize = 4 };

    [Fact]
    public void Cache_checkpoints_and_custom_mappings_stand_anywhere_in_a_pipeline()
    {
        IDataView data = TinyChat.Questions(_ml, 6);
        var pipeline = _ml.Transforms.CustomMapping<Chat, Chat>((input, output) => output.Messages = input.Messages, contractName: null)
            .AppendCacheCheckpoint(_ml)
            .Append(Gemma.TokenizeChat(TinyChat.Checkpoint))
            .Append(Gemma.MaskResponse())
            .AppendCacheCheckpoint(_ml)
            .Append(Gemma.PackCanvas(TinyChat.Checkpoint))
            .Append(Gemma.FineTune(TinyChat.Checkpoint, TinyChat.Lora, Quick))
            .Append(_ml.Transforms.CustomMapping<Answer, Length>((input, output) => output.Characters = input.Response.Length,
                contractName: null));
        var model = pipeline.Fit(data);
        IDataView scored = model.Transform(data);
        Assert.Equal(scored.GetColumn<string>("Response").Select(text => text.Length), scored.GetColumn<int>("Characters"));
        var plain = TinyChat.Preparation(_ml).Append(Gemma.FineTune(TinyChat.Checkpoint, TinyChat.Lora, Quick)).Fit(data);
        Assert.Equal(plain.Transform(data).GetColumn<string>("Response"), scored.GetColumn<string>("Response"));
        plain.Dispose();
        model.Dispose();
    }

    [Fact]
    public void Splits_train_on_one_part_and_score_the_other()
    {
        IDataView data = TinyChat.Questions(_ml, 9);
        var pipeline = TinyChat.Preparation(_ml).Append(Gemma.FineTune(TinyChat.Checkpoint, TinyChat.Lora, Quick));
        DataOperationsCatalog.TrainTestData split = _ml.Data.TrainTestSplit(data, testFraction: 0.4, seed: 1);
        int[] Trained(IDataView train, IDataView test)
        {
            using var model = pipeline.Fit(train);
            int answers = model.Transform(test).GetColumn<string>("Response").Count();
            return [model.LastTransformer.Summary!.Rows, answers];
        }
        Assert.Equal(9, Trained(split.TrainSet, split.TestSet).Sum());
        var folds = _ml.Data.CrossValidationSplit(data, numberOfFolds: 2, seed: 1);
        Assert.Equal(2, folds.Count);
        Assert.All(folds, fold => Assert.Equal(9, Trained(fold.TrainSet, fold.TestSet).Sum()));
    }

    [Fact]
    public void Rows_survive_a_cache_and_a_binary_file()
    {
        using TemporaryFolder folder = Fixtures.Temporary("binary");
        IDataView data = TinyChat.Questions(_ml, 5);
        IDataView packed = TinyChat.Preparation(_ml).Fit(data).Transform(data);
        string[] columns = ["InputIds", "AssistantMask", "RowNotes", "LossMask", "PromptLength", "CanvasCount", "PaddedLength",
            "CutTokens"];
        string[] rows = Views.Dump(packed, columns);
        Assert.Equal(rows, Views.Dump(_ml.Data.Cache(packed), columns));
        using (FileStream file = File.Create(folder.File("rows.idv")))
            _ml.Data.SaveAsBinary(packed, file);
        IDataView read = _ml.Data.LoadFromBinary(folder.File("rows.idv"));
        Assert.Equal(rows, Views.Dump(read, columns));

        using DiffusionGemmaTransformer model = Gemma.FineTune(TinyChat.Checkpoint, TinyChat.Lora, Quick).Fit(read);
        IDataView scored = model.Transform(read);
        using (FileStream file = File.Create(folder.File("scored.idv")))
            _ml.Data.SaveAsBinary(scored, file);
        string[] answers = ["Response", "ResponseIds", "TokensPerForward", "Steps", "Reasoning", "ToolCalls"];
        Assert.Equal(Views.Dump(scored, answers), Views.Dump(_ml.Data.LoadFromBinary(folder.File("scored.idv")), answers));
    }

    [Fact]
    public void Rows_are_filtered_before_and_after()
    {
        IDataView data = TinyChat.Questions(_ml, 8);
        IDataView packed = TinyChat.Preparation(_ml).Fit(data).Transform(data);
        IDataView numbered = _ml.Transforms.Conversion.ConvertType("Tokens", "PromptLength", DataKind.Single).Fit(packed).Transform(packed);
        IDataView shorter = _ml.Data.FilterRowsByColumn(numbered, "Tokens", upperBound: 20);
        int kept = packed.GetColumn<int>("PromptLength").Count(length => length < 20);
        Assert.InRange(kept, 1, 7);
        using DiffusionGemmaTransformer model = Gemma.Answer(TinyChat.Checkpoint, Quick).Fit(shorter);
        IDataView scored = model.Transform(shorter);
        Assert.Equal(kept, scored.GetColumn<string>("Response").Count());
        float[] rates = [.. scored.GetColumn<float>("TokensPerForward")];
        IDataView quick = _ml.Data.FilterRowsByColumn(scored, "TokensPerForward", lowerBound: rates.Max());
        Assert.Equal(rates.Count(rate => rate == rates.Max()), quick.GetColumn<string>("Response").Count());
    }

    [Fact]
    public void Every_column_can_have_another_name()
    {
        IDataView named = _ml.Data.LoadFromEnumerable(TinyChat.Questions(_ml, 4).GetColumn<string>("Messages").ToArray()
            .Select(messages => new Named { Chat = messages }));
        var rows = new TrainingRowOptions
        {
            InputIdsColumnName = "Ids", LossMaskColumnName = "Loss", PromptLengthColumnName = "Prompt", CanvasCountColumnName = "Canvases",
            PaddedLengthColumnName = "Padded", CutTokensColumnName = "Cut", NotesColumnName = "Notes",
        };
        var pipeline = Gemma.TokenizeChat(TinyChat.Checkpoint, new ChatTokenizingEstimator.Options
        {
            InputColumnName = "Chat", OutputColumnName = "Ids", MaskColumnName = "Assistant", NotesColumnName = "Notes",
        })
            .Append(Gemma.MaskResponse(new ResponseMaskingEstimator.Options
            {
                InputColumnName = "Assistant", OutputColumnName = "Loss", PromptLengthColumnName = "Prompt",
            }))
            .Append(Gemma.PackCanvas(TinyChat.Checkpoint, new CanvasPackingEstimator.Options
            {
                InputIdsColumnName = "Ids", LossMaskColumnName = "Loss", CanvasCountColumnName = "Canvases",
                PaddedLengthColumnName = "Padded",
                CutTokensColumnName = "Cut",
            }))
            .Append(Gemma.FineTune(TinyChat.Checkpoint, TinyChat.Lora, Quick, rows: rows));
        using var model = pipeline.Fit(named);
        string[] answers = [.. model.Transform(named).GetColumn<string>("Response")];

        IDataView data = TinyChat.Questions(_ml, 4);
        using var usual = TinyChat.Preparation(_ml).Append(Gemma.FineTune(TinyChat.Checkpoint, TinyChat.Lora, Quick)).Fit(data);
        Assert.Equal(usual.Transform(data).GetColumn<string>("Response"), answers);
        Assert.Equal(answers, EstimatorAssert.SaveAndLoad(_ml, model, named.Schema).Transform(named).GetColumn<string>("Response"));
        IDataView prepared = usual.Take(3).Aggregate(data, (view, step) => step.Transform(view));
        Assert.Equal(usual.LastTransformer.EvaluateLoss(prepared).DiffusionLoss,
            model.LastTransformer.EvaluateLoss(model.Take(3).Aggregate(named, (view, step) => step.Transform(view)),
                rows: rows).DiffusionLoss);
    }

    [Fact]
    public void Sizes_that_cannot_be_meant_are_refused()
    {
        var huge = TinyChat.Lora with { Lora = new LoraOptions { Rank = 100_000 } };
        Assert.Contains("Rank is beyond the hidden size",
            Assert.Throws<ArgumentOutOfRangeException>(() => Gemma.FineTune(TinyChat.Checkpoint, huge)).Message);
        Assert.Contains("1024 positions",
            Assert.Throws<ArgumentOutOfRangeException>(() => Gemma.PackCanvas(TinyChat.Checkpoint, maxLength: 4096)).Message);
        Assert.Contains("There is no folder",
            Assert.Throws<DirectoryNotFoundException>(() => Gemma.TokenizeChat("./nowhere")).Message);
    }

    private sealed class Chat
    {
        public string Messages { get; set; } = "";
    }

    private sealed class Named
    {
        public string Chat { get; set; } = "";
    }

    private sealed class Answer
    {
        public string Response { get; set; } = "";
    }

    private sealed class Length
    {
        public int Characters { get; set; }
    }
}
