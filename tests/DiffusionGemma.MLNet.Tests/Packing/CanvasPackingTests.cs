using System.Text.Json;
using CsCheck;
using Microsoft.ML;

namespace DiffusionGemma.Packing;

public sealed class CanvasPackingTests
{
    private readonly MLContext _ml = new(seed: 1);

    private static PackingOptions Small => new(CanvasLength: 4, EosId: 1, MaxLength: 16, PadMultiple: 4);

    [Fact]
    public void Rows_of_the_reference_pack_as_the_reference_packs_them()
    {
        var options = new PackingOptions(PackedFixture.CanvasLength, EosId: 1, PackedFixture.MaxLength, PackedFixture.PadMultiple);
        int rows = 0;
        foreach (JsonElement row in PackedFixture.Rows.Where(row => row.TryGetProperty("packed", out _)))
        {
            int[] ids = row.Ints("input_ids");
            PackedRow packed = PackedRow.Pack(ids, row.Bools("loss_mask"), options);
            AssertPacked(row.GetProperty("packed"), packed.InputIds, packed.LossMask, packed.PaddedLength);
            Assert.Equal(Math.Max(0, ids.Length - options.MaxLength), packed.CutTokens);
            rows++;
        }
        Assert.Equal(72, rows);
    }

    [Fact]
    public void A_cut_response_is_counted_by_its_lost_tokens()
    {
        PackedRow packed = PackedRow.Pack(Ids(20), Mask(20, 6), Small);
        Assert.Equal((16, 3, 16, 4), (packed.InputIds.Length, packed.CanvasCount, packed.PaddedLength, packed.CutTokens));
    }

    [Fact]
    public void A_row_that_loses_its_whole_response_stays_a_prompt()
    {
        PackedRow packed = PackedRow.Pack(Ids(25), Mask(25, 20), Small);
        Assert.Equal(Ids(25), packed.InputIds);
        Assert.Equal(new bool[25], packed.LossMask);
        Assert.Equal((0, 0, 5), (packed.CanvasCount, packed.PaddedLength, packed.CutTokens));
    }

    [Fact]
    public void A_row_without_a_response_stays_a_prompt_and_nothing_counts_as_cut()
    {
        PackedRow packed = PackedRow.Pack(Ids(25), new bool[25], Small);
        Assert.Equal(Ids(25), packed.InputIds);
        Assert.Equal((0, 0, 0), (packed.CanvasCount, packed.PaddedLength, packed.CutTokens));
    }

    [Fact]
    public void Packing_keeps_the_prompt_and_fills_whole_canvases() =>
        Gen.Select(Gen.Int[1, 30], Gen.Int[1, 30], Gen.Int[1, 8], Gen.Int[1, 60], Gen.Int[1, 12]).Check(200, sample =>
        {
            (int prompt, int response, int canvas, int maximum, int pad) = sample;
            int length = prompt + response;
            PackedRow packed = PackedRow.Pack(Ids(length), Mask(length, prompt), new PackingOptions(canvas, EosId: 1, maximum, pad));
            if (prompt >= maximum)
            {
                Assert.Equal((0, response), (packed.CanvasCount, packed.CutTokens));
                return;
            }
            Assert.Equal(Math.Max(0, length - maximum), packed.CutTokens);
            Assert.Equal(Math.Min(prompt + (packed.CanvasCount * canvas), maximum), packed.InputIds.Length);
            Assert.Equal(Ids(length).Take(maximum), packed.InputIds.Take(length));
            Assert.All(packed.InputIds.Skip(length), id => Assert.Equal(1, id));
            Assert.InRange(packed.PaddedLength, packed.InputIds.Length, Math.Max(maximum, packed.InputIds.Length));
        });

    [Fact]
    public void It_is_an_estimator_as_others()
    {
        IDataView view = _ml.Data.LoadFromEnumerable(new[]
        {
            new Row { InputIds = Ids(40), LossMask = Mask(40, 10) },
            new Row { InputIds = Ids(9), LossMask = new bool[9] },
        });
        CanvasPackingTransformer transformer = EstimatorAssert.Holds(
            _ml, _ml.Transforms.DiffusionGemma.PackCanvas(Fixtures.Checkpoint("tiny-chat"), maxLength: 30), view, "InputIds", "LossMask");
        Assert.Equal(
            ["CanvasCount=1 | PaddedLength=30 | CutTokens=10", "CanvasCount=0 | PaddedLength=0 | CutTokens=0"],
            Views.Dump(transformer.Transform(view), "CanvasCount", "PaddedLength", "CutTokens"));
    }

    [Fact]
    public void Ids_and_mask_of_different_lengths_are_an_error_of_their_row()
    {
        IDataView view = _ml.Data.LoadFromEnumerable(new[] { new Row { InputIds = [1], LossMask = [true] },
            new Row { InputIds = [1, 2], LossMask = [true] } });
        IDataView packed = _ml.Transforms.DiffusionGemma.PackCanvas(Fixtures.Checkpoint("tiny-chat")).Fit(view).Transform(view);
        // ML.NET packs on several threads and wraps what goes wrong there.
        var error = Assert.IsType<ChatDataException>(Assert.ThrowsAny<InvalidOperationException>(() => Views.Dump(packed))
            .GetBaseException());
        Assert.Equal(1, error.Row);
        Assert.Contains("InputIds has 2 values and LossMask 1", error.Message);
    }

    /// <summary>A row that was cut has no end, and none is invented: nothing is filled beyond the cut, as in the reference.</summary>
    [Fact]
    public void A_row_that_was_cut_learns_no_end()
    {
        var options = new PackingOptions(CanvasLength: 16, EosId: 1, MaxLength: 30, PadMultiple: 16);
        PackedRow cut = PackedRow.Pack(Ids(40), Mask(40, 10), options);
        Assert.Equal((30, 10), (cut.InputIds.Length, cut.CutTokens));
        Assert.DoesNotContain(1, cut.InputIds);
        PackedRow whole = PackedRow.Pack(Ids(29), Mask(29, 10), options);
        Assert.Equal((30, 0, 1), (whole.InputIds.Length, whole.CutTokens, whole.InputIds[^1]));
    }

    [Fact]
    public void Rows_that_are_cut_can_be_dropped()
    {
        IDataView view = _ml.Data.LoadFromEnumerable(new[]
        {
            new Row { InputIds = Ids(40), LossMask = Mask(40, 10) },
            new Row { InputIds = Ids(30), LossMask = Mask(30, 10) },
        });
        CanvasPackingTransformer transformer = EstimatorAssert.Holds(_ml,
            _ml.Transforms.DiffusionGemma.PackCanvas(Fixtures.Checkpoint("tiny-chat"), maxLength: 30, truncated: TruncatedRows.Drop), view,
            "InputIds", "LossMask");
        Assert.Equal(
            ["CanvasCount=0 | PaddedLength=0 | CutTokens=10", "CanvasCount=1 | PaddedLength=30 | CutTokens=0"],
            Views.Dump(transformer.Transform(view), "CanvasCount", "PaddedLength", "CutTokens"));
    }

    [Fact]
    public void Dropped_rows_are_counted()
    {
        IDataView data = _ml.Data.LoadChatFromEnumerable(
        [
            ChatRows.ToJson("2+2?", "4"), ChatRows.ToJson("2+2?", new string('4', 300)), ChatRows.ToJson(new string('4', 300), "4"),
        ]);
        DiffusionGemmaCatalog gemma = _ml.Transforms.DiffusionGemma;
        string checkpoint = Fixtures.Checkpoint("tiny-chat");
        RowCounts Counts(TruncatedRows truncated)
        {
            IDataView packed = gemma.TokenizeChat(checkpoint).Append(gemma.MaskResponse())
                .Append(gemma.PackCanvas(checkpoint, maxLength: 100, truncated: truncated)).Fit(data).Transform(data);
            using TrainingRows rows = TrainingRows.Read(packed, ((Microsoft.ML.Runtime.IHostEnvironment)_ml).Register("test"));
            return rows.Counts;
        }
        RowCounts kept = Counts(TruncatedRows.Keep), dropped = Counts(TruncatedRows.Drop);
        Assert.Equal((2, 1, 0, 1), (kept.Trained, kept.Lost, kept.Dropped, kept.Cut));
        Assert.Equal((1, 1, 1, 0), (dropped.Trained, dropped.Lost, dropped.Dropped, dropped.Cut));
        Assert.Contains("1 row left out: the cut at the maximum length took a part of the answer", dropped.Warnings());
    }

    [Fact]
    public void Columns_have_the_names_that_they_are_given()
    {
        IDataView view = _ml.Data.LoadFromEnumerable(new[] { new Named { Ids = Ids(20), Mask = Mask(20, 10) } });
        CanvasPackingTransformer transformer = EstimatorAssert.Holds(_ml,
            _ml.Transforms.DiffusionGemma.PackCanvas(Fixtures.Checkpoint("tiny-chat"), new CanvasPackingEstimator.Options
            {
                InputIdsColumnName = "Ids", LossMaskColumnName = "Mask", CanvasCountColumnName = "C", PaddedLengthColumnName = "P",
                CutTokensColumnName = "T",
            }), view, "Ids", "Mask");
        Assert.Equal(["Ids", "Mask", "C", "P", "T"],
            transformer.Transform(view).Schema.Where(column => !column.IsHidden).Select(column => column.Name)
                .OrderBy("Ids Mask C P T".IndexOf));
    }

    [Fact]
    public void Wrong_numbers_and_folders_are_refused_at_once()
    {
        DiffusionGemmaCatalog gemma = _ml.Transforms.DiffusionGemma;
        string checkpoint = Fixtures.Checkpoint("tiny-chat");
        Assert.Throws<ArgumentOutOfRangeException>(() => gemma.PackCanvas(checkpoint, maxLength: 0));
        Assert.Contains("1024 positions",
            Assert.Throws<ArgumentOutOfRangeException>(() => gemma.PackCanvas(checkpoint, maxLength: 1025)).Message);
        Assert.Equal("padMultiple",
            Assert.Throws<ArgumentOutOfRangeException>(() => gemma.PackCanvas(checkpoint, padMultiple: 0)).ParamName);
        Assert.Throws<InvalidConfigurationException>(() => gemma.PackCanvas("nowhere"));
        Assert.Contains("tokenizer.json",
            Assert.Throws<FileNotFoundException>(() => gemma.PackCanvas(Fixtures.Checkpoint("tiny-2layer"), maxLength: 512)).Message);
    }

    internal static void AssertPacked(JsonElement expected, int[] ids, bool[] lossMask, int paddedLength)
    {
        int attended = expected.Ints("attention_mask").Sum();
        Assert.Equal(expected.Ints("input_ids").Take(attended), ids);
        Assert.Equal(expected.Bools("loss_mask").Take(attended), lossMask);
        Assert.Equal(expected.Ints("input_ids").Length, paddedLength);
    }

    private static int[] Ids(int length) => [.. Enumerable.Range(100, length)];

    private static bool[] Mask(int length, int prompt) => [.. Enumerable.Range(0, length).Select(i => i >= prompt)];

    private sealed class Named
    {
        public int[] Ids { get; set; } = [];

        public bool[] Mask { get; set; } = [];
    }

    private sealed class Row
    {
        public int[] InputIds { get; set; } = [];

        public bool[] LossMask { get; set; } = [];
    }
}
