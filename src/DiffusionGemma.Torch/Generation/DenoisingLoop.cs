using System.Diagnostics;
using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// The denoising loop (transformers' <c>generation_diffusion_gemma</c>), over a batch that rows join and leave between decoder passes.
/// <code>
/// admit     encode prompts; a canvas starts as random tokens
/// step      decode the canvases; from the distributions of each position settle the surest tokens, and redraw the rest
/// commit    a finished canvas joins its answer; a complete answer leaves, of any other row the canvas is encoded and the next one starts
/// </code>
/// </summary>
/// <param name="model">The model.</param>
/// <param name="noise">
/// All that is random, for the whole batch: rows then start and commit their canvases together, as in the reference, and stay until all
/// answers are complete. Null: each row draws its own.
/// </param>
/// <param name="readsOnce">True to draw on the device and to read the distributions of all rows at once, which is slower on a CPU; null:
/// on devices that are no CPU.</param>
internal sealed class DenoisingLoop(DiffusionGemmaModel model, INoiseSource? noise = null, bool? readsOnce = null) : IDisposable
{
    private readonly DenoisingBatch _batch = new(model);
    private readonly CanvasHead _head = new(model);
    private readonly bool _readsOnce = noise is null && (readsOnce ?? model.Device.type != DeviceType.CPU);

    /// <summary>Runs until the client supplies no more rows.</summary>
    public void Run(IDenoisingClient client)
    {
        while (client.Admit(_batch.Rows.Count) is { } admission)
        {
            _batch.Admit(admission.Rows, admission.SharedPrefixes);
            BeginCanvases(admission.Rows);
            foreach (DenoisingRow row in _batch.Rows.Where(client.IsCancelled).ToArray())
            {
                _batch.Remove(row);
                client.OnCancelled(row);
            }
            if (_batch.Rows.Any(row => !row.IsCanvasFinished)) Step(client);
            CommitFinishedCanvases(client);
        }
    }

    public void Dispose()
    {
        _batch.Dispose();
        _head.Dispose();
    }

    /// <summary>One decoder pass over all rows, each at its own step.</summary>
    private void Step(IDenoisingClient client)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        long start = Stopwatch.GetTimestamp();
        var failed = new List<DenoisingRow>();
        if (_readsOnce) ReadOnce(client, failed);
        else Visit(client, failed);
        DenoisingTelemetry.PassRows.Record(_batch.Rows.Count);
        DenoisingTelemetry.PassDuration.Record(Stopwatch.GetElapsedTime(start).TotalSeconds);
        foreach (DenoisingRow row in failed) _batch.Remove(row);
    }

    /// <summary>Draws on the device for all rows, then reads the pass once; rows with a grammar read theirs one by one.</summary>
    private void ReadOnce(IDenoisingClient client, List<DenoisingRow> failed)
    {
        // Before the pass is queued: a copy to the device would wait for its end.
        using var readings = new PassReadings(model, _batch.Rows);
        Tensor hidden = _batch.Decode();
        _head.Compute(hidden, Temperatures(), Grammars(), readings, _batch.Condition, chunk =>
        {
            Advance(client, failed, _batch.Rows[chunk.First], row => row.Advance(chunk.Row(0)));
            Condition(chunk);
        });
        foreach ((int n, IRowDistribution distribution) in readings.Read())
            Advance(client, failed, _batch.Rows[n], row => row.Advance(distribution));
    }

    /// <summary>Reads the distributions of a few rows at a time, and draws for the positions that may settle.</summary>
    private void Visit(IDenoisingClient client, List<DenoisingRow> failed)
    {
        Tensor hidden = _batch.Decode();
        RowGrammar?[] grammars = Grammars();
        // A source draws for the whole batch at once, finished rows included; all its rows have the same grammar, or none.
        double[][]? uniforms = noise is null || grammars.Contains(null)
            ? null
            : ToHost(noise, _batch.Rows.Count, model.Config.CanvasLength);
        int[][]? random = uniforms is null ? null : DrawCanvas(_batch.Rows.Count);
        _head.Visit(hidden, Temperatures(), grammars, whole: noise is not null, chunk =>
        {
            int[][]? sampled = noise is null || uniforms is not null ? null : ToHost(noise.Sample(chunk.Probabilities()));
            if (sampled is not null) random = DrawCanvas(chunk.Rows);
            for (int i = 0; i < chunk.Rows; i++)
            {
                int inChunk = i, inBatch = chunk.First + i;
                Advance(client, failed, _batch.Rows[inBatch], row => row.Advance(
                    chunk.Row(inChunk), sampled is null ? null : chunk.Propose(inChunk, sampled[inChunk]), random?[inBatch],
                    uniforms?[inBatch]));
            }
            Condition(chunk);
        });
    }

    /// <summary>Takes a step of one row, if its canvas is not finished.</summary>
    private static void Advance(
        IDenoisingClient client, List<DenoisingRow> failed, DenoisingRow row, Func<DenoisingRow, DenoisingStep> step)
    {
        if (row.IsCanvasFinished) return;
        try
        {
            client.OnStep(row, step(row));
        }
        catch (Exception e)
        {
            client.OnFailed(row, e);
            failed.Add(row);
        }
    }

    private double[] Temperatures() => [.. _batch.Rows.Select(row => row.Temperature)];

    private RowGrammar?[] Grammars() => [.. _batch.Rows.Select(row => row.Grammar)];

    /// <summary>Keeps the predictions that condition the next pass, of rows that go on with their canvas.</summary>
    private void Condition(ICanvasDistributions chunk)
    {
        bool[] goesOn = [.. Enumerable.Range(0, chunk.Rows).Select(i => !_batch.Rows[chunk.First + i].IsCanvasFinished)];
        if (!goesOn.Contains(false)) _batch.Condition(chunk.First, chunk.ExpectedEmbeddings());
        else
            for (int i = 0; i < chunk.Rows; i++)
                if (goesOn[i]) _batch.Condition(chunk.First + i, chunk.ExpectedEmbeddings(i));
    }

    private void CommitFinishedCanvases(IDenoisingClient client)
    {
        DenoisingRow[] finished = [.. _batch.Rows.Where(row => row.IsCanvasFinished)];
        if (noise is not null && finished.Length < _batch.Rows.Count) return;
        var encoded = new Dictionary<DenoisingRow, int[]>();
        foreach (DenoisingRow row in finished)
        {
            (CanvasUpdate canvas, int[] ids) = row.Commit();
            DenoisingTelemetry.CanvasSteps.Record(canvas.Steps);
            client.OnCanvas(row, canvas);
            encoded[row] = ids;
        }
        bool staysTogether = noise is not null && finished.Any(row => !row.IsComplete);
        foreach (DenoisingRow row in finished.Where(row => row.IsComplete && !staysTogether))
        {
            encoded.Remove(row);
            _batch.Remove(row);
            if (DenoisingTelemetry.TokensPerPass.Enabled) DenoisingTelemetry.TokensPerPass.Record(row.Result().TokensPerForward);
            client.OnCompleted(row);
        }
        _batch.Append(encoded);
        BeginCanvases([.. finished.Where(encoded.ContainsKey)]);
    }

    private void BeginCanvases(IReadOnlyList<DenoisingRow> rows)
    {
        if (rows.Count == 0) return;
        using var scope = NewDisposeScope();
        int[][]? random = noise is null ? null : DrawCanvas(rows.Count);
        for (int i = 0; i < rows.Count; i++) rows[i].BeginCanvas(random?[i]);
    }

    private int[][] DrawCanvas(int rows) => ToHost(noise!.Canvas(rows, model.Config.CanvasLength, model.Config.VocabularySize));

    private static double[][] ToHost(INoiseSource noise, int rows, int canvasLength)
    {
        using Tensor host = noise.Uniforms(rows, canvasLength).to(ScalarType.Float64).cpu();
        return [.. host.data<double>().ToArray().Chunk(canvasLength)];
    }

    private static int[][] ToHost(Tensor ids)
    {
        using Tensor host = ids.to(ScalarType.Int32).cpu();
        return [.. host.data<int>().ToArray().Chunk((int)ids.shape[1])];
    }
}
