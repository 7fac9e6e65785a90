using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Answers prompts by denoising canvas after canvas (transformers' <c>generation_diffusion_gemma</c>): each starts as uniformly random
/// tokens, and every decoder pass settles the positions that the model is surest of and redraws the rest.
/// </summary>
public static class CanvasGenerator
{
    /// <summary>Answers prompts, all in one batch.</summary>
    /// <param name="model">The model, with or without an adapter.</param>
    /// <param name="prompts">Token ids of each prompt, generation prompt included; of any lengths, none empty.</param>
    /// <param name="options">Null entries: the checkpoint folder's.</param>
    /// <param name="noise">All that is random, for the whole batch: rows then keep pace, canvas by canvas, as in the reference. Null: each row
    /// draws its own, by <see cref="GenerationOptions.Seed"/> and its prompt, whatever else is in the batch.</param>
    /// <param name="drafts">Told after every decoder pass, row by row.</param>
    /// <param name="cancellation">Looked at before every decoder pass.</param>
    /// <returns>One result a prompt, in order.</returns>
    /// <exception cref="ArgumentException">A prompt is empty, too long or holds an id outside the vocabulary; or an option is out of range.</exception>
    /// <exception cref="InvalidDataException">The folder's generation_config.json asks for what is not supported.</exception>
    /// <exception cref="InvalidOperationException">A logit is not a finite number.</exception>
    /// <exception cref="OperationCanceledException">Cancelled, without <see cref="GenerationOptions.ReturnOnCancellation"/>.</exception>
    [OverloadResolutionPriority(1)]                                                                         // what an empty collection expression means
    public static IReadOnlyList<GenerationResult> Generate(
        DiffusionGemmaModel model, IReadOnlyList<int[]> prompts, GenerationOptions? options = null, INoiseSource? noise = null,
        IProgress<DenoisingStep>? drafts = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        if (noise is null) return Generate(model, [.. prompts.Select(ids => new GenerationRequest(ids))], options, batchSize: int.MaxValue, drafts, cancellation);
        using IDisposable? threads = KernelThreads.Take(model.Device, model.DType);
        using var batch = new DenoisingBatch(model);
        DenoisingRow[] rows = Rows(model, [.. prompts.Select(ids => new GenerationRequest(ids))], options);
        try
        {
            if (rows.Length > 0) InStep(model, batch, rows, noise, drafts, cancellation);
        }
        catch (OperationCanceledException) when (rows.All(row => row.Options.ReturnOnCancellation))
        {
        }
        return [.. rows.Select(row => row.Result())];
    }

    /// <summary>Answers requests, at most <paramref name="batchSize"/> at a time: when one is done, another takes its place.</summary>
    /// <param name="model">The model, with or without an adapter.</param>
    /// <param name="requests">Prompts, and what is known of their answers.</param>
    /// <param name="options">For all requests, where their own are null.</param>
    /// <param name="batchSize">Rows denoised together.</param>
    /// <param name="drafts">Told after every decoder pass, row by row.</param>
    /// <param name="cancellation">Looked at before every decoder pass.</param>
    /// <returns>One result a request, in order.</returns>
    /// <exception cref="ArgumentException">A request cannot be answered, or an option is out of range.</exception>
    /// <exception cref="InvalidDataException">The folder's generation_config.json asks for what is not supported.</exception>
    /// <exception cref="InvalidOperationException">A logit is not a finite number.</exception>
    /// <exception cref="OperationCanceledException">Cancelled, without <see cref="GenerationOptions.ReturnOnCancellation"/>.</exception>
    public static IReadOnlyList<GenerationResult> Generate(
        DiffusionGemmaModel model, IReadOnlyList<GenerationRequest> requests, GenerationOptions? options = null, int batchSize = 8,
        IProgress<DenoisingStep>? drafts = null, CancellationToken cancellation = default)
    {
        return [.. Generate(model, requests, options, batchSize, failed: null, beforePass: null, drafts, cancellation).Select(result => result!)];
    }

    /// <summary>As above, for a caller who goes on without the rows that cannot be answered: their results are null.</summary>
    /// <param name="model">The model.</param>
    /// <param name="requests">The requests.</param>
    /// <param name="options">For all of them.</param>
    /// <param name="batchSize">Rows denoised together.</param>
    /// <param name="failed">Receives the index of each request that cannot be answered, and its error; null: the error is thrown.</param>
    /// <param name="beforePass">Called before every decoder pass; what it throws ends the run.</param>
    /// <param name="drafts">Told after every decoder pass, row by row.</param>
    /// <param name="cancellation">Looked at before every decoder pass.</param>
    public static IReadOnlyList<GenerationResult?> Generate(
        DiffusionGemmaModel model, IReadOnlyList<GenerationRequest> requests, GenerationOptions? options, int batchSize,
        Action<int, Exception>? failed, Action? beforePass, IProgress<DenoisingStep>? drafts, CancellationToken cancellation)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(batchSize, 1);
        DenoisingRow[] rows = Rows(model, requests, options, failed);
        var results = new GenerationResult?[requests.Count];
        var failures = new List<DenoisingRow>();
        using IDisposable? threads = KernelThreads.Take(model.Device, model.DType);
        using var batch = new DenoisingBatch(model);
        // Longest first: rows that are encoded together are of like lengths, and the last to finish are the short ones.
        var waiting = new Queue<DenoisingRow>(rows.OrderByDescending(row => row.Prompt.Length));
        int[] prefix = SharedPrefix.Of([.. rows.Select(row => requests[row.Index])]);
        try
        {
            while (waiting.Count > 0 || batch.Rows.Count > 0)
            {
                cancellation.ThrowIfCancellationRequested();
                beforePass?.Invoke();
                var joining = new List<DenoisingRow>();
                while (waiting.Count > 0 && batch.Rows.Count + joining.Count < batchSize) joining.Add(waiting.Dequeue());
                batch.Admit(joining, prefix);
                foreach (DenoisingRow row in joining) row.BeginCanvas();
                if (batch.Rows.Any(row => !row.Finished))
                    batch.Step(
                        watch: drafts is null ? null : (_, step) => drafts.Report(step),
                        failed: failed is null ? null : (row, error) =>
                        {
                            failures.Add(row);
                            failed(row.Index, error);
                        });
                foreach (DenoisingRow row in failures) batch.Remove(row);
                failures.Clear();
                Turn(batch, committed: (row, _) => results[row.Index] = row.Ended ? row.Result() : null);
            }
        }
        catch (OperationCanceledException) when (rows.All(row => row.Options.ReturnOnCancellation))
        {
            foreach (DenoisingRow row in rows) results[row.Index] ??= row.Result();
        }
        finally
        {
            foreach (DenoisingRow row in rows) row.Dispose();
        }
        return results;
    }

    /// <summary>Answers one request, and tells of every denoising step and finished canvas on the way; the model is in use until the stream ends.</summary>
    /// <param name="model">The model, with or without an adapter.</param>
    /// <param name="request">The prompt.</param>
    /// <param name="options">Where the request's own are null.</param>
    /// <param name="cancellation">Looked at before every decoder pass. Who stops reading cancels too.</param>
    /// <exception cref="ArgumentException">The request cannot be answered, or an option is out of range.</exception>
    /// <exception cref="OperationCanceledException">Cancelled, without <see cref="GenerationOptions.ReturnOnCancellation"/>.</exception>
    public static async IAsyncEnumerable<GenerationUpdate> StreamAsync(
        DiffusionGemmaModel model, GenerationRequest request, GenerationOptions? options = null, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        await using var queue = new GenerationQueue(model, options, batchSize: 1);
        await foreach (GenerationUpdate update in queue.StreamAsync(request, cancellation).ConfigureAwait(false))
            yield return update;
    }

    /// <summary>After a pass: rows whose answer is complete leave, the others whose canvas is finished start the next.</summary>
    internal static void Turn(DenoisingBatch batch, Action<DenoisingRow, CanvasUpdate>? committed)
    {
        var next = new Dictionary<DenoisingRow, int[]>();
        foreach (DenoisingRow row in batch.Rows.Where(row => row.Finished).ToArray())
        {
            (CanvasUpdate update, int[] encoded) = row.Commit();
            committed?.Invoke(row, update);
            if (row.Ended) batch.Remove(row);
            else next[row] = encoded;
        }
        if (next.Count == 0) return;
        batch.Append(next);
        foreach (DenoisingRow row in next.Keys) row.BeginCanvas();
    }

    /// <summary>All rows canvas by canvas, waiting for each other as the reference does: a recorded source holds draws for that.</summary>
    private static void InStep(
        DiffusionGemmaModel model, DenoisingBatch batch, DenoisingRow[] rows, INoiseSource noise, IProgress<DenoisingStep>? drafts, CancellationToken cancellation)
    {
        int length = model.Config.CanvasLength, canvases = rows.Max(row => (row.Options.MaxNewTokens + length - 1) / length);
        batch.Admit(rows);
        for (int canvas = 0; canvas < canvases && rows.Any(row => !row.Ended); canvas++)
        {
            using (Tensor random = noise.Canvas(rows.Length, length, model.Config.VocabularySize).cpu())
                for (int row = 0; row < rows.Length; row++)
                    rows[row].BeginCanvas(Array.ConvertAll(random[row].to(ScalarType.Int64).data<long>().ToArray(), id => (int)id));
            while (rows.Any(row => !row.Finished))
            {
                cancellation.ThrowIfCancellationRequested();
                batch.Step(noise, (_, step) => drafts?.Report(step));
            }
            batch.Append(rows.ToDictionary(row => row, row => row.Commit().Encoded));
        }
    }

    private static DenoisingRow[] Rows(DiffusionGemmaModel model, IReadOnlyList<GenerationRequest> requests, GenerationOptions? options, Action<int, Exception>? failed = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(requests);
        var file = new GenerationConfigFile(model.Folder);
        ResolvedGenerationOptions common = ResolvedGenerationOptions.Resolve(options, file, model.Config);
        var rows = new List<DenoisingRow>();
        try
        {
            for (int index = 0; index < requests.Count; index++)
            {
                GenerationRequest request = requests[index];
                try
                {
                    rows.Add(new DenoisingRow(
                        index, request, request.Options is null ? common : ResolvedGenerationOptions.Resolve(request.Options.Over(options), file, model.Config), model.Config));
                }
                catch (ArgumentException e) when (failed is not null)
                {
                    failed(index, e);
                }
            }
        }
        catch
        {
            foreach (DenoisingRow row in rows) row.Dispose();
            throw;
        }
        return [.. rows];
    }
}
