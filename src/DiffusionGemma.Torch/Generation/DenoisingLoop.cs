using System.Diagnostics;
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
internal sealed class DenoisingLoop(DiffusionGemmaModel model, INoiseSource? noise = null) : IDisposable
{
    private readonly DenoisingBatch _batch = new(model);
    private readonly CanvasHead _head = new(model);

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
        Tensor hidden = _batch.Decode();
        var failed = new List<DenoisingRow>();
        double[] temperatures = [.. _batch.Rows.Select(row => row.Temperature)];
        RowGrammar?[] grammars = [.. _batch.Rows.Select(row => row.Grammar)];
        // A source draws for the whole batch at once, finished rows included; all its rows have the same grammar, or none.
        double[][]? uniforms = noise is null || grammars.Contains(null)
            ? null
            : ToHost(noise, _batch.Rows.Count, model.Config.CanvasLength);
        int[][]? random = uniforms is null ? null : DrawCanvas(_batch.Rows.Count);
        _head.Visit(hidden, temperatures, grammars, whole: noise is not null, chunk =>
        {
            int[][]? sampled = noise is null || uniforms is not null ? null : ToHost(noise.Sample(chunk.Probabilities()));
            if (sampled is not null) random = DrawCanvas(chunk.Rows);
            for (int i = 0; i < chunk.Rows; i++)
            {
                DenoisingRow row = _batch.Rows[chunk.First + i];
                if (row.IsCanvasFinished) continue;
                try
                {
                    client.OnStep(row, row.Advance(chunk.Row(i), sampled?[i], random?[chunk.First + i], uniforms?[chunk.First + i]));
                }
                catch (Exception e)
                {
                    client.OnFailed(row, e);
                    failed.Add(row);
                }
            }
            Condition(chunk);
        });
        DenoisingTelemetry.PassRows.Record(_batch.Rows.Count);
        DenoisingTelemetry.PassDuration.Record(Stopwatch.GetElapsedTime(start).TotalSeconds);
        foreach (DenoisingRow row in failed) _batch.Remove(row);
    }

    /// <summary>Keeps the predictions that condition the next pass, of rows that go on with their canvas.</summary>
    private void Condition(ICanvasDistributions chunk)
    {
        bool[] goesOn = [.. Enumerable.Range(0, chunk.Rows).Select(i => !_batch.Rows[chunk.First + i].IsCanvasFinished)];
        if (!goesOn.Contains(false)) _batch.Condition(chunk.First, chunk.ExpectedEmbeddings());
        else
            for (int i = 0; i < chunk.Rows; i++)
                if (goesOn[i]) _batch.Condition(chunk.First + i, chunk.Row(i).ExpectedEmbeddings());
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
