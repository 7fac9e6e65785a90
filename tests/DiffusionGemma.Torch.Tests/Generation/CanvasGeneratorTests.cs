using static TorchSharp.torch;

namespace DiffusionGemma;

public class CanvasGeneratorTests : TorchTest
{
    private static readonly int[][] Prompts =
    [
        [2, 30, 31], [2, 40], [2, 50, 51, 52, 53, 54, 55], [2, 60, 61, 62], [2, 70], [2, 80, 81, 82, 83], [2, 90, 91],
        [2, 100, 101, 102, 103, 104],
    ];

    private readonly DiffusionGemmaModel _model =
        DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, ScalarType.Float64);

    /// <summary>Float64: what a batch changes in the last bits must not meet a tie.</summary>
    [Fact]
    public void A_row_answers_alike_alone_in_a_batch_and_in_another_order()
    {
        // No end tokens, so that all three canvases are written; and with them, so that rows end apart.
        foreach (IReadOnlyList<int> ends in new int[][] { [], [1, 3, 20, 21, 22, 23, 24, 25] })
        {
            var options =
                new GenerationOptions { MaxNewTokens = 24, MaxDenoisingSteps = 6, Seed = 11, EosTokenIds = ends, EntropyBound = 2 };
            IReadOnlyList<GenerationResult> together = CanvasGenerator.Generate(_model, Prompts, options);
            IReadOnlyList<GenerationResult> reversed = CanvasGenerator.Generate(_model, [.. Prompts.Reverse()], options);
            for (int row = 0; row < Prompts.Length; row++)
            {
                AssertSame(together[row], reversed[^(row + 1)]);
                AssertSame(together[row], Assert.Single(CanvasGenerator.Generate(_model, [Prompts[row]], options)));
            }
            Assert.True(together.Select(r => string.Join(' ', r.Ids)).Distinct().Count() > 1);
        }
    }

    [Fact]
    public void A_seed_repeats_and_another_draws_otherwise()
    {
        int[] Answer(long? seed) => CanvasGenerator.Generate(
            _model, [Prompts[0]], new GenerationOptions { Seed = seed, MaxDenoisingSteps = 4, TMin = 5, TMax = 5 })[0].Ids;
        Assert.Equal(Answer(1), Answer(1));
        Assert.NotEqual(Answer(1), Answer(2));
        Assert.Equal(Answer(null), Answer(0));
    }

    [Fact]
    public void An_answer_ends_with_its_first_end_token()
    {
        int[] free = CanvasGenerator.Generate(_model, [Prompts[0]], new GenerationOptions { EosTokenIds = [], MaxNewTokens = 16 })[0].Ids;
        Assert.Equal(16, free.Length);
        int end = free[9], first = Array.IndexOf(free, end);
        GenerationResult ended = CanvasGenerator.Generate(
            _model, [Prompts[0]], new GenerationOptions { EosTokenIds = [end], MaxNewTokens = 16 })[0];
        Assert.Equal(free[..(first + 1)], ended.Ids);
        Assert.Equal(FinishReason.End, ended.Finish);
        GenerationResult whole = CanvasGenerator.Generate(
            _model, [Prompts[0]], new GenerationOptions { EosTokenIds = [], MaxNewTokens = 9 })[0];
        Assert.Equal(free[..9], whole.Ids);                                                     // denoised whole, then cut
        Assert.Equal(FinishReason.Length, whole.Finish);
    }

    [Fact]
    public void Drafts_come_after_every_pass_and_the_last_is_the_answer()
    {
        var drafts = new List<DenoisingStep>();
        GenerationResult result = CanvasGenerator.Generate(
            _model, [Prompts[0]],
            new GenerationOptions { EosTokenIds = [], MaxNewTokens = 16, MaxDenoisingSteps = 5, ConfidenceThreshold = -1 },
            drafts: new ImmediateProgress<DenoisingStep>(drafts.Add))[0];
        Assert.Equal(
            [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 0), (1, 1), (1, 2), (1, 3), (1, 4)], drafts.Select(d => (d.Canvas, d.Step)));
        Assert.Equal(result.Ids, drafts[4].Draft.Concat(drafts[9].Draft));
        Assert.Equal(10, result.Steps);
        Assert.Equal(result.Ids.Count(id => id != 0) / 10.0, result.TokensPerForward, 1e-12);
        Assert.All(drafts, d => Assert.True(d.Settled.Contains(true) && d.MeanEntropy > 0 && !d.Finished));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3)]
    public void A_draft_must_have_stood_for_the_threshold(int threshold)
    {
        var drafts = new List<DenoisingStep>();
        var options = new GenerationOptions
        {
            EosTokenIds = [], MaxNewTokens = 8, StabilityThreshold = threshold, ConfidenceThreshold = 1e9, MaxDenoisingSteps = 40,
        };
        CanvasGenerator.Generate(_model, [Prompts[0]], options, drafts: new ImmediateProgress<DenoisingStep>(drafts.Add));
        int stood = drafts.AsEnumerable().Reverse().TakeWhile(d => d.Draft.SequenceEqual(drafts[^1].Draft)).Count();
        Assert.True(drafts.Count == 40 || drafts[^1].Finished && stood >= threshold + 1);
        Assert.All(drafts.SkipLast(1), d => Assert.False(d.Finished));
    }

    [Fact]
    public void Cancelling_inside_a_canvas_ends_the_run_before_the_next_pass()
    {
        using var cancellation = new CancellationTokenSource();
        int passes = 0;
        var drafts = new ImmediateProgress<DenoisingStep>(d =>
        {
            passes++;
            if (d is { Canvas: 0, Step: 1, Row: 0 }) cancellation.Cancel();
        });
        Assert.Throws<OperationCanceledException>(
            () => CanvasGenerator.Generate(
                _model, Prompts, new GenerationOptions { ConfidenceThreshold = -1 }, drafts: drafts, cancellation: cancellation.Token));
        Assert.Equal(2 * Prompts.Length, passes);
        Assert.NotEmpty(CanvasGenerator.Generate(_model, [Prompts[0]]));
    }

    /// <summary>The reference refuses equal temperatures; nothing needs that.</summary>
    [Fact]
    public void One_temperature_for_all_steps_is_a_schedule_too() =>
        Assert.Equal(
            16,
            CanvasGenerator.Generate(
                _model, [Prompts[0]], new GenerationOptions { TMin = 0.7, TMax = 0.7, EosTokenIds = [] })[0].Ids.Length);

    [Fact]
    public void No_prompts_no_answers() => Assert.Empty(CanvasGenerator.Generate(_model, []));

    [Fact]
    public void A_prompt_that_cannot_be_answered_is_named()
    {
        void Refused(string message, int[] prompt)
        {
            var error = Assert.Throws<GenerationRequestException>(() => CanvasGenerator.Generate(_model, [Prompts[0], prompt]));
            Assert.Equal("prompts", error.ParamName);
            Assert.Contains($"Prompt 1 {message}", error.Message, StringComparison.Ordinal);
        }
        Refused("is empty", []);
        Refused("has 497 tokens; with 16 new ones that is more than the model's 512 positions", [.. Enumerable.Repeat(5, 497)]);
        Refused("holds an id outside the vocabulary of 128", [2, 128]);
        Refused("holds an id outside the vocabulary of 128", [2, -1]);
    }

    /// <summary>Rounded up to whole canvases, it leaves 32 bits.</summary>
    [Fact]
    public void The_most_new_tokens_of_all_are_too_many() => Assert.Contains(
        "with 2147483648 new ones that is more than the model's 512 positions",
        Assert.Throws<GenerationRequestException>(
            () => CanvasGenerator.Generate(_model, [Prompts[0]], new GenerationOptions { MaxNewTokens = int.MaxValue })).Message,
        StringComparison.Ordinal);

    [Fact]
    public void A_logit_that_is_no_number_names_row_canvas_and_step()
    {
        using (no_grad()) _model.Stack.Parameters["model.decoder.layers.1.mlp.up_proj.weight"][0] = double.NaN;
        string message = Assert.Throws<NotFiniteLogitException>(() => CanvasGenerator.Generate(_model, Prompts)).Message;
        Assert.Matches("Row [0-7], canvas 0, step 0", message);
    }

    public override void Dispose()
    {
        _model.Dispose();
        base.Dispose();
    }

    private static void AssertSame(GenerationResult expected, GenerationResult got)
    {
        Assert.Equal(expected.Ids, got.Ids);
        Assert.Equal((expected.Steps, expected.TokensPerForward, expected.Finish), (got.Steps, got.TokensPerForward, got.Finish));
    }
}
