using System.Runtime.CompilerServices;

namespace DiffusionGemma;

/// <summary>
/// Answers prompts by denoising canvas after canvas (transformers' <c>generation_diffusion_gemma</c>): a canvas starts as uniformly random
/// tokens, and every decoder pass settles the surest positions and redraws the rest.
/// </summary>
public static class CanvasGenerator
{
    /// <summary>Answers prompts, all in one batch.</summary>
    /// <param name="model">The model, with or without an adapter.</param>
    /// <param name="prompts">Token ids of each prompt, generation prompt included; of any lengths, none empty.</param>
    /// <param name="options">Null entries: the checkpoint folder's.</param>
    /// <param name="noise">All that is random, for the whole batch: rows then advance together, canvas by canvas, as in the reference.
    /// Null: each row draws its own, by <see cref="GenerationOptions.Seed"/> and its prompt, and does not depend on other rows.</param>
    /// <param name="drafts">Gets a report after every decoder pass, row by row.</param>
    /// <param name="cancellation">Checked before every decoder pass.</param>
    /// <returns>One result a prompt, in order.</returns>
    /// <exception cref="ArgumentException">A prompt is empty, too long or holds an id outside the vocabulary; or an option is out of
    /// range.</exception>
    /// <exception cref="InvalidDataException">The folder's generation_config.json asks for what is not supported.</exception>
    /// <exception cref="InvalidOperationException">A logit is not a finite number.</exception>
    /// <exception cref="OperationCanceledException">Cancelled, without <see cref="GenerationOptions.ReturnOnCancellation"/>.</exception>
    [OverloadResolutionPriority(1)]                                         // an empty collection expression is a list of prompts
    public static IReadOnlyList<GenerationResult> Generate(
        DiffusionGemmaModel model, IReadOnlyList<int[]> prompts, GenerationOptions? options = null, INoiseSource? noise = null,
        IProgress<DenoisingStep>? drafts = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        GenerationRequest[] requests = [.. prompts.Select(ids => new GenerationRequest(ids))];
        if (noise is null) return Generate(model, requests, options, batchSize: int.MaxValue, drafts, cancellation);
        var callbacks = new GenerationCallbacks { Drafts = drafts };
        return [.. Run(model, requests, options, batchSize: null, noise, callbacks, cancellation).Select(result => result!)];
    }

    /// <summary>Answers requests, at most <paramref name="batchSize"/> at a time: when one is done, another takes its place.</summary>
    /// <param name="model">The model, with or without an adapter.</param>
    /// <param name="requests">Prompts, and what is known of their answers.</param>
    /// <param name="options">For all requests, where their own are null.</param>
    /// <param name="batchSize">Rows denoised together.</param>
    /// <param name="drafts">Gets a report after every decoder pass, row by row.</param>
    /// <param name="cancellation">Checked before every decoder pass.</param>
    /// <returns>One result a request, in order.</returns>
    /// <exception cref="ArgumentException">A request cannot be answered, or an option is out of range.</exception>
    /// <exception cref="InvalidDataException">The folder's generation_config.json asks for what is not supported.</exception>
    /// <exception cref="InvalidOperationException">A logit is not a finite number.</exception>
    /// <exception cref="OperationCanceledException">Cancelled, without <see cref="GenerationOptions.ReturnOnCancellation"/>.</exception>
    public static IReadOnlyList<GenerationResult> Generate(
        DiffusionGemmaModel model, IReadOnlyList<GenerationRequest> requests, GenerationOptions? options = null, int batchSize = 8,
        IProgress<DenoisingStep>? drafts = null, CancellationToken cancellation = default)
    {
        var callbacks = new GenerationCallbacks { Drafts = drafts };
        return [.. Generate(model, requests, options, batchSize, callbacks, cancellation).Select(result => result!)];
    }

    /// <summary>
    /// As above, with callbacks for a caller that goes on without requests that cannot be answered: their results are null.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="requests">The requests.</param>
    /// <param name="options">Where a request's own are null.</param>
    /// <param name="batchSize">Rows denoised together.</param>
    /// <param name="callbacks">Called on the calling thread.</param>
    /// <param name="cancellation">Checked before every decoder pass.</param>
    public static IReadOnlyList<GenerationResult?> Generate(
        DiffusionGemmaModel model, IReadOnlyList<GenerationRequest> requests, GenerationOptions? options, int batchSize,
        GenerationCallbacks callbacks, CancellationToken cancellation)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(batchSize, 1);
        return Run(model, requests, options, batchSize, noise: null, callbacks, cancellation);
    }

    /// <summary>
    /// Answers one request as a stream of denoising steps, finished canvases and the answer; the model is in use until the stream ends.
    /// </summary>
    /// <param name="model">The model, with or without an adapter.</param>
    /// <param name="request">The prompt.</param>
    /// <param name="options">Where the request's own are null.</param>
    /// <param name="cancellation">Checked before every decoder pass. To stop reading the stream cancels too.</param>
    /// <exception cref="ArgumentException">The request cannot be answered, or an option is out of range.</exception>
    /// <exception cref="OperationCanceledException">Cancelled, without <see cref="GenerationOptions.ReturnOnCancellation"/>.</exception>
    public static async IAsyncEnumerable<GenerationUpdate> StreamAsync(
        DiffusionGemmaModel model, GenerationRequest request, GenerationOptions? options = null,
        [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        await using var queue = new GenerationQueue(model, options, batchSize: 1);
        await foreach (GenerationUpdate update in queue.StreamAsync(request, cancellation).ConfigureAwait(false))
            yield return update;
    }

    private static IReadOnlyList<GenerationResult?> Run(
        DiffusionGemmaModel model, IReadOnlyList<GenerationRequest> requests, GenerationOptions? options, int? batchSize,
        INoiseSource? noise, GenerationCallbacks callbacks, CancellationToken cancellation)
    {
        DenoisingRow[] rows = CreateRows(model, requests, options, callbacks.Failed);
        var list = new RequestList(rows, requests, batchSize, callbacks, cancellation);
        using var loop = new DenoisingLoop(model, noise);
        try
        {
            loop.Run(list);
        }
        catch (OperationCanceledException) when (rows.All(row => row.Options.ReturnOnCancellation))
        {
            list.CompleteCancelled();
        }
        finally
        {
            foreach (DenoisingRow row in rows) row.Dispose();
        }
        return list.Results;
    }

    private static DenoisingRow[] CreateRows(
        DiffusionGemmaModel model, IReadOnlyList<GenerationRequest> requests, GenerationOptions? options, Action<int, Exception>? failed)
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
                    ResolvedGenerationOptions own = request.Options is null
                        ? common
                        : ResolvedGenerationOptions.Resolve(request.Options.Over(options), file, model.Config);
                    rows.Add(new DenoisingRow(index, request, own, model));
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
