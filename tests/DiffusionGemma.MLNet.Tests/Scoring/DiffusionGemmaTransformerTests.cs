using DiffusionGemma.FineTuning;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Scoring;

/// <summary>One short training for all tests here.</summary>
public sealed class TrainedModel : IDisposable
{
    public TrainedModel()
    {
        IDataView data = TinyChat.Questions(Ml, 4);
        Schema = data.Schema;
        Model = TinyChat.Preparation(Ml)
            .Append(Ml.Transforms.DiffusionGemma.FineTune(TinyChat.Checkpoint, TinyChat.Lora, TinyChat.Quick, batchSize: 3))
            .Fit(data);
    }

    public MLContext Ml { get; } = new(seed: 7);

    public DataViewSchema Schema { get; }

    public TransformerChain<DiffusionGemmaTransformer> Model { get; }

    public void Dispose() => Model.Dispose();
}

public sealed class DiffusionGemmaTransformerTests(TrainedModel trained) : IClassFixture<TrainedModel>
{
    private static readonly string[] Answers = ["Response", "ResponseIds", "TokensPerForward", "Steps"];

    private readonly MLContext _ml = trained.Ml;

    private IDataView Questions => TinyChat.Unanswered(_ml, [.. Enumerable.Range(0, 7).Select(i => $"What is {i} plus {i + 1}?")]);

    [Fact]
    public void Every_row_gets_the_answer_that_the_model_gives_to_its_prompt_alone()
    {
        IDataView scored = trained.Model.Transform(Questions);
        string[] responses = [.. scored.GetColumn<string>("Response")];
        int[][] ids = [.. scored.GetColumn<int[]>("ResponseIds")];
        Assert.Equal(7, responses.Length);
        int[][] prompts = [.. scored.GetColumn<int[]>("InputIds")];
        DiffusionGemmaTransformer transformer = trained.Model.LastTransformer;
        ChatTokenizer tokenizer = ChatTokenizer.Load(TinyChat.Checkpoint);
        for (int row = 0; row < prompts.Length; row++)
        {
            GenerationResult alone = CanvasGenerator.Generate(transformer.Model, [prompts[row]], TinyChat.Quick)[0];
            Assert.Equal(alone.Ids, ids[row]);
            Assert.Equal(tokenizer.Tokenizer.Decode(alone.Ids, skipSpecialTokens: true), responses[row]);
        }
    }

    [Fact]
    public void A_row_with_an_answer_is_scored_from_its_prompt_alone()
    {
        IDataView answered = _ml.Data.LoadChatFromEnumerable(
            [[new ConversationMessage("user", "What is 0 plus 1?"), new ConversationMessage("assistant", "Who knows?")]]);
        Assert.Equal(Views.Dump(trained.Model.Transform(TinyChat.Unanswered(_ml, "What is 0 plus 1?")), Answers),
            Views.Dump(trained.Model.Transform(answered), Answers));
    }

    [Fact]
    public void Saved_and_loaded_it_answers_alike_without_its_weights_in_the_file()
    {
        string[] answers = Views.Dump(trained.Model.Transform(Questions));
        using TemporaryFolder folder = Fixtures.Temporary();
        _ml.Model.Save(trained.Model, trained.Schema, folder.File("model.zip"));
        Assert.True(new FileInfo(folder.File("model.zip")).Length < new FileInfo(Path.Combine(TinyChat.Checkpoint,
            "model.safetensors")).Length / 4);

        ITransformer loaded = new MLContext().Model.Load(folder.File("model.zip"), out DataViewSchema schema);
        Assert.Equal(Views.Columns(trained.Schema), Views.Columns(schema));
        Assert.Equal(answers, Views.Dump(loaded.Transform(Questions)));
        Assert.Equal(answers, Views.Dump(EstimatorAssert.SaveAndLoad(_ml, loaded, schema).Transform(Questions)));
        var transformer = (DiffusionGemmaTransformer)((IEnumerable<ITransformer>)loaded).Last();
        Assert.Equal((3, TinyChat.Quick, RowFailure.Throw), (transformer.BatchSize, transformer.Generation, transformer.Options.OnFailure));
    }

    [Fact]
    public void A_prediction_engine_answers_as_the_view_does()
    {
        string[] responses = [.. trained.Model.Transform(Questions).GetColumn<string>("Response")];
        using var engine = _ml.Model.CreatePredictionEngine<Question,
            Reply>(trained.Model, new PredictionEngineOptions { OwnsTransformer = false });
        string[] messages = [.. Questions.GetColumn<string>("Messages")];
        for (int row = 0; row < messages.Length; row++)
        {
            Reply reply = engine.Predict(new Question { Messages = messages[row] });
            Assert.Equal(responses[row], reply.Response);
            Assert.True(reply.Steps >= 1 && reply.TokensPerForward > 0 && reply.ResponseIds.Length > 0);
        }
    }

    [Theory]
    [InlineData(3, 1)]
    [InlineData(1, 3)]
    public void Rows_are_read_ahead_by_some_batches_and_no_further(int batchSize, int batchesAhead)
    {
        int pulled = 0;
        IEnumerable<Prompt> Rows()
        {
            for (; pulled < 7; pulled++)
                yield return new Prompt { InputIds = [2, 105, 300 + pulled], PromptLength = 3 };
        }
        // Objects are read on the thread that asks for them; ML.NET's own row mappers read ahead.
        IDataView data = _ml.Data.LoadFromEnumerable(Rows());
        using DiffusionGemmaTransformer model = _ml.Transforms.DiffusionGemma
            .Answer(TinyChat.Checkpoint, new AnswerOptions
            {
                Generation = TinyChat.Quick, BatchSize = batchSize,
                BatchesAhead = batchesAhead
            }).Fit(data);
        IDataView scored = model.Transform(data);
        pulled = 0;
        using DataViewRowCursor cursor = scored.GetRowCursor([scored.Schema["Response"], scored.Schema["PromptLength"]]);
        var batches = new List<(long Position, long Batch, int Pulled)>();
        while (cursor.MoveNext())
            batches.Add((cursor.Position, cursor.Batch, pulled));
        // (The third object is on its way out, so two have been passed.)
        Assert.Equal([(0, 0, 2), (1, 0, 2), (2, 0, 2), (3, 1, 5), (4, 1, 5), (5, 1, 5), (6, 2, 7)], batches);
    }

    [Fact]
    public void A_finished_row_s_place_is_taken_by_a_waiting_one_and_rows_come_out_in_order()
    {
        // Row 0 takes ten passes and every other a single one: all others are through before it is, in the place beside it.
        var passes = new Passes(slow: 300, of: 10);
        IDataView data = _ml.Data.LoadFromEnumerable(Enumerable.Range(0, 6)
            .Select(i => new Prompt { InputIds = [2, 105, 300 + i], PromptLength = 3 }));
        var options = new AnswerOptions
        {
            Generation = new()
            {
                MaxDenoisingSteps = 20, MaxNewTokens = 32, ConfidenceThreshold = -1,
                StopCriterion = passes
            }, BatchSize = 2, BatchesAhead = 3
        };
        using DiffusionGemmaTransformer model = _ml.Transforms.DiffusionGemma.Answer(TinyChat.Checkpoint, options).Fit(data);
        Assert.Equal([10, 1, 1, 1, 1, 1], model.Transform(data).GetColumn<int>("Steps"));
        Assert.Equal([300, 301, 300, 302, 300, 303, 300, 304, 300, 305, 300, 300, 300, 300, 300], passes.Seen);
    }

    [Fact]
    public void The_model_does_not_run_where_no_answer_is_read()
    {
        ITransformer loaded = EstimatorAssert.SaveAndLoad(_ml, trained.Model, trained.Schema);
        var transformer = (DiffusionGemmaTransformer)((IEnumerable<ITransformer>)loaded).Last();
        IDataView scored = loaded.Transform(Questions);
        Assert.Equal(Views.Dump(trained.Model.Transform(Questions), "InputIds"), Views.Dump(scored, "InputIds"));
        Assert.False(transformer.IsLoaded);
        _ = Views.Dump(_ml.Data.TakeRows(scored, 1), "Steps");
        Assert.True(transformer.IsLoaded);
    }

    [Fact]
    public void Transforms_after_it_see_every_row_once_and_in_order()
    {
        string[] responses = [.. trained.Model.Transform(Questions).GetColumn<string>("Response")];
        IDataView scored = trained.Model.Transform(Questions);
        IDataView copied = _ml.Transforms.CopyColumns("Final", "Response").Append(_ml.Transforms.Text.NormalizeText("Normal", "Final"))
            .Fit(scored).Transform(scored);
        Assert.Equal(responses, copied.GetColumn<string>("Final"));
        Assert.Equal(responses, _ml.Data.Cache(copied, "Final").GetColumn<string>("Final"));
    }

    [Fact]
    public void Two_cursors_at_once_take_turns()
    {
        string[] answers = Views.Dump(trained.Model.Transform(Questions), Answers);
        string[][] both = new string[2][];
        Parallel.For(0, 2, i => both[i] = Views.Dump(trained.Model.Transform(Questions), Answers));
        Assert.All(both, each => Assert.Equal(answers, each));
    }

    [Fact]
    public void The_adapter_is_a_PEFT_folder_that_gives_the_same_answers()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        trained.Model.LastTransformer.SaveAdapter(folder.File("adapter"));
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(TinyChat.Checkpoint, dtype: TorchSharp.torch.ScalarType.Float32);
        using LoraAdapter adapter = LoraAdapter.Load(folder.File("adapter"), model);
        model.Adapter = adapter;
        IDataView scored = trained.Model.Transform(TinyChat.Unanswered(_ml, "What is 3 plus 4?"));
        Assert.Equal(scored.GetColumn<int[]>("ResponseIds").Single(),
            CanvasGenerator.Generate(model, [scored.GetColumn<int[]>("InputIds").Single()], TinyChat.Quick)[0].Ids);
        model.Adapter = null;
    }

    [Fact]
    public void Wrong_columns_are_refused_before_anything_runs()
    {
        DiffusionGemmaTransformer transformer = trained.Model.LastTransformer;
        Assert.Contains("InputIds", Assert.Throws<ArgumentOutOfRangeException>(() => transformer.Transform(Questions)).Message);
        IDataView wrong = _ml.Data.LoadFromEnumerable(new[] { new Wrong() });
        Assert.Contains("PromptLength",
            Assert.Throws<ArgumentOutOfRangeException>(() => transformer.GetOutputSchema(wrong.Schema)).Message);
    }

    [Fact]
    public void A_disposed_model_says_so()
    {
        ITransformer loaded = EstimatorAssert.SaveAndLoad(_ml, trained.Model, trained.Schema);
        ((IDisposable)loaded).Dispose();
        Assert.IsType<ObjectDisposedException>(Assert.ThrowsAny<Exception>(() => Views.Dump(loaded.Transform(Questions), Answers))
            .GetBaseException());
    }

    private sealed class Question
    {
        public string Messages { get; set; } = "";
    }

    private sealed class Reply
    {
        public string Response { get; set; } = "";

        public int[] ResponseIds { get; set; } = [];

        public float TokensPerForward { get; set; }

        public int Steps { get; set; }
    }

    private sealed class Prompt
    {
        public int[] InputIds { get; set; } = [];

        public int PromptLength { get; set; }
    }

    private sealed class Passes(int slow, int of) : IStopCriterion
    {
        public List<int> Seen { get; } = [];

        public bool IsFinished(CanvasState canvas)
        {
            Seen.Add(canvas.Prompt[^1]);
            return canvas.Prompt[^1] != slow || canvas.Step == of - 1;
        }
    }

    private sealed class Wrong
    {
        public int[] InputIds { get; set; } = [];

        public string PromptLength { get; set; } = "";
    }
}
