using DiffusionGemma.FineTuning;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Scoring;

/// <summary>A row that cannot be answered is named in an error, or left empty while the others are answered.</summary>
public sealed class RowFailureTests
{
    private readonly MLContext _ml = new(seed: 7);

    // Row 1 has no prompt, row 3 is longer than the model; the others are answered.
    private IDataView Rows => _ml.Data.LoadFromEnumerable(Enumerable.Range(0, 6).Select(i => new Prompt
    {
        InputIds = i == 3 ? [.. Enumerable.Repeat(300, 100_000)] : [2, 105, 300 + i], PromptLength = i == 3 ? 100_000 : i == 1 ? 0 : 3,
    }));

    private DiffusionGemmaTransformer Model(RowFailure onFailure, GenerationOptions? generation = null) => _ml.Transforms.DiffusionGemma
        .Answer(TinyChat.Checkpoint, new AnswerOptions { Generation = generation ?? TinyChat.Quick, BatchSize = 2, OnFailure = onFailure })
            .Fit(Rows);

    [Fact]
    public void By_default_the_row_is_named()
    {
        using DiffusionGemmaTransformer model = Model(RowFailure.Throw);
        var error = Assert.Throws<ChatDataException>(() => model.Transform(Rows).GetColumn<string>("Response").ToArray());
        Assert.Equal(1, error.Row);
        Assert.Contains("row 1 (counted from 0): PromptLength is 0, but InputIds has 3 tokens", error.Message, StringComparison.Ordinal);
        IDataView beyond = _ml.Data.SkipRows(Rows, 2);
        error = Assert.Throws<ChatDataException>(() => model.Transform(beyond).GetColumn<string>("Response").ToArray());
        Assert.Contains("the prompt has 100000 tokens", error.Message, StringComparison.Ordinal);
        Assert.Null(model.GetOutputSchema(Rows.Schema).GetColumnOrNull(ChatColumns.ResponseError));
    }

    [Fact]
    public void By_option_it_is_empty_and_says_why_and_the_others_are_answered_as_ever()
    {
        using DiffusionGemmaTransformer model = Model(RowFailure.EmptyAnswer);
        IDataView scored = model.Transform(Rows);
        string[] errors = [.. scored.GetColumn<string>(ChatColumns.ResponseError)], answers = [.. scored.GetColumn<string>("Response")];
        Assert.Equal([false, true, false, true, false, false], errors.Select(e => e.Length > 0));
        Assert.Contains("PromptLength is 0", errors[1], StringComparison.Ordinal);
        Assert.Contains("the prompt has 100000 tokens; with 32 new ones that is more than the model's", errors[3],
            StringComparison.Ordinal);
        Assert.Equal(("", 0), (answers[1], scored.GetColumn<int>("Steps").ElementAt(3)));
        using DiffusionGemmaTransformer strict = Model(RowFailure.Throw);
        string[] good =
            [.. strict.Transform(_ml.Data.LoadFromEnumerable(new[] { 0, 2, 4,
            5 }.Select(i => new Prompt { InputIds = [2, 105, 300 + i], PromptLength = 3 }))).GetColumn<string>("Response")];
        Assert.Equal(good, new[] { 0, 2, 4, 5 }.Select(i => answers[i]));

        // Saved and loaded it does the same; and a prediction engine too.
        ITransformer loaded = EstimatorAssert.SaveAndLoad(_ml, model, Rows.Schema);
        Assert.Equal(errors, loaded.Transform(Rows).GetColumn<string>(ChatColumns.ResponseError));
        using var engine = _ml.Model.CreatePredictionEngine<Prompt, Reply>(model, new PredictionEngineOptions { OwnsTransformer = false });
        Assert.Contains("PromptLength is 0", engine.Predict(new Prompt { InputIds = [2, 3], PromptLength = 0 }).ResponseError,
            StringComparison.Ordinal);
        Assert.Equal("", engine.Predict(new Prompt { InputIds = [2, 105, 300], PromptLength = 3 }).ResponseError);
    }

    [Fact]
    public void An_error_waits_until_the_rows_before_it_are_handed_out()
    {
        using DiffusionGemmaTransformer model = Model(RowFailure.Throw);
        IDataView scored = model.Transform(_ml.Data.SkipRows(Rows, 2));
        using DataViewRowCursor cursor = scored.GetRowCursor([scored.Schema["Steps"]]);
        Assert.True(cursor.MoveNext());
        Assert.True(Getters.ReadValue<int>(cursor, scored.Schema["Steps"])() > 0);
        Assert.Equal(3, Assert.Throws<ChatDataException>(() => cursor.MoveNext()).Row);
    }

    // Row 1 has no message, row 2 a broken one; rows are tokenized in the same pass.
    private IDataView Chats => _ml.Data.LoadFromEnumerable(new[] { TinyChat.Row("What is 1 plus 1?"), "[]", """[{"role":"user"}]""",
        TinyChat.Row("What is 3 plus 4?") }
        .Select((messages, i) => new Chat { Number = 10 + i, Messages = messages }));

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void A_row_that_cannot_be_tokenized_fails_alone_too(int batchSize)
    {
        IEstimator<ITransformer> Pipeline(RowFailure onFailure) => TinyChat.Preparation(_ml)
            .Append(_ml.Transforms.DiffusionGemma.Answer(TinyChat.Checkpoint,
                new AnswerOptions { Generation = TinyChat.Quick, BatchSize = batchSize, OnFailure = onFailure }));
        ITransformer model = Pipeline(RowFailure.EmptyAnswer).Fit(Chats);
        IDataView scored = model.Transform(Chats);
        string[] errors = [.. scored.GetColumn<string>(ChatColumns.ResponseError)], answers = [.. scored.GetColumn<string>("Response")];
        Assert.Equal(["", "'messages' is empty: a conversation has at least one message.", "messages[0] has no 'content'.", ""], errors);
        Assert.Equal([false, true, true, false], answers.Select(answer => answer.Length == 0));
        // What is passed through stays beside its row; of tokens a failed row has none.
        Assert.Equal([10, 11, 12, 13], scored.GetColumn<int>("Number"));
        using (DataViewRowCursor cursor = scored.GetRowCursor([scored.Schema["InputIds"], scored.Schema["Number"],
            scored.Schema["Response"]]))
        {
            Func<int[]> ids = Getters.ReadVector<int>(cursor, scored.Schema["InputIds"]);
            Func<int> number = Getters.ReadValue<int>(cursor, scored.Schema["Number"]);
            ChatTokenizer tokenizer = ChatTokenizer.Load(TinyChat.Checkpoint);
            for (int row = 0; cursor.MoveNext(); row++)
            {
                Assert.Equal(10 + row, number());
                Assert.Equal(errors[row].Length > 0 ? [] : tokenizer.Encode(Chats.GetColumn<string>("Messages").ElementAt(row)).Ids, ids());
            }
        }
        using (var engine = _ml.Model.CreatePredictionEngine<Chat, Reply>(model, new PredictionEngineOptions { OwnsTransformer = false }))
        {
            Assert.Equal(errors[1], engine.Predict(new Chat { Messages = "[]" }).ResponseError);
            Assert.Equal(answers[3], engine.Predict(new Chat { Messages = TinyChat.Row("What is 3 plus 4?") }).Response);
        }

        var error = Assert.Throws<ChatDataException>(() => Pipeline(RowFailure.Throw).Fit(Chats).Transform(Chats)
            .GetColumn<string>("Response").ToArray());
        Assert.Equal("row 1 (counted from 0): 'messages' is empty: a conversation has at least one message.", error.Message);
        (model as IDisposable)?.Dispose();
    }

    [Fact]
    public void A_row_that_fails_while_it_is_denoised_leaves_the_others_their_answers()
    {
        // What a row's own criterion throws takes the way of predictions that are no numbers.
        using DiffusionGemmaTransformer model = Model(RowFailure.EmptyAnswer, TinyChat.Quick with { StopCriterion = new Refusing(302) });
        string[] errors = [.. model.Transform(Rows).GetColumn<string>(ChatColumns.ResponseError)],
            answers = [.. model.Transform(Rows).GetColumn<string>("Response")];
        Assert.Equal("no 302 here", errors[2]);
        using DiffusionGemmaTransformer other = Model(RowFailure.EmptyAnswer);
        string[] undisturbed = [.. other.Transform(Rows).GetColumn<string>("Response")];
        Assert.Equal(new[] { 0, 4, 5 }.Select(i => undisturbed[i]), new[] { 0, 4, 5 }.Select(i => answers[i]));

        const string broken = "model.decoder.layers.1.mlp.up_proj.weight";
        other.Model.Own(name => name == broken);
        using (TorchSharp.torch.no_grad()) other.Model.Stack.Parameters[broken][0] = double.NaN;
        Assert.StartsWith("canvas 0, step 0: a logit is not a finite number.",
            other.Transform(Rows).GetColumn<string>(ChatColumns.ResponseError).Last(), StringComparison.Ordinal);
        IDataView last = other.Transform(_ml.Data.SkipRows(Rows, 4), other.Options with { OnFailure = RowFailure.Throw });
        Assert.StartsWith("row 4 (counted from 0): canvas 0, step 0: a logit is not a finite number.",
            Assert.Throws<ChatDataException>(() => last.GetColumn<string>("Response").ToArray()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_view_may_have_options_of_its_own()
    {
        using DiffusionGemmaTransformer model = Model(RowFailure.Throw);
        IDataView scored = _ml.Transforms.DiffusionGemma.Score(model, Rows,
            options => options with { OnFailure = RowFailure.EmptyAnswer, BatchSize = 3 });
        Assert.Equal(2, scored.GetColumn<string>(ChatColumns.ResponseError).Count(e => e.Length > 0));
        Assert.Equal((RowFailure.Throw, 2), (model.Options.OnFailure, model.BatchSize));
        Assert.Null(model.Transform(Rows).Schema.GetColumnOrNull(ChatColumns.ResponseError));
        Assert.Contains("BatchSize", Assert.Throws<ArgumentOutOfRangeException>(() =>
            _ml.Transforms.DiffusionGemma.Score(model, Rows, options => options with { BatchSize = 0 })).Message, StringComparison.Ordinal);
        ITransformer other = _ml.Transforms.CopyColumns("Copy", "PromptLength").Fit(Rows);
        Assert.Contains("No part of the model answers", Assert.Throws<ArgumentException>(() =>
            _ml.Transforms.DiffusionGemma.Score(other, Rows, options => options)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Options_out_of_range_are_named()
    {
        void Refused(string name, AnswerOptions options) =>
            Assert.Contains(name, Assert.ThrowsAny<ArgumentException>(() =>
                _ml.Transforms.DiffusionGemma.Answer(TinyChat.Checkpoint, options)).Message, StringComparison.Ordinal);
        Refused("BatchSize", new AnswerOptions { BatchSize = 0 });
        Refused("BatchesAhead", new AnswerOptions { BatchesAhead = 0 });
        Refused("OnFailure", new AnswerOptions { OnFailure = (RowFailure)9 });
        Refused("GenerationOptions.TopP", new AnswerOptions { Generation = new() { TopP = 0 } });
    }

    private sealed class Prompt
    {
        public int[] InputIds { get; set; } = [];

        public int PromptLength { get; set; }
    }

    private sealed class Chat
    {
        public int Number { get; set; }

        public string Messages { get; set; } = "";
    }

    private sealed class Refusing(int id) : IStopCriterion
    {
        public bool IsFinished(CanvasState canvas) => canvas.Prompt.Contains(id) ? throw new InvalidOperationException($"no {id} here")
            : false;
    }

    private sealed class Reply
    {
        public string Response { get; set; } = "";

        public string ResponseError { get; set; } = "";
    }
}
