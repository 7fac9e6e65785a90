using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Answers prompts by denoising canvas after canvas (transformers' <c>generation_diffusion_gemma</c>): each starts as uniformly random
/// tokens, and every decoder pass settles the positions that the model is surest of and redraws the rest.
/// </summary>
public static class CanvasGenerator
{
    /// <summary>Answers a batch of prompts.</summary>
    /// <param name="model">The model, with or without an adapter.</param>
    /// <param name="prompts">Token ids of each prompt, generation prompt included; of any lengths, none empty.</param>
    /// <param name="options">Null entries: the checkpoint folder's.</param>
    /// <param name="noise">All that is random; null: by <see cref="GenerationOptions.Seed"/> and each row's prompt, whatever else is in the batch.</param>
    /// <param name="drafts">Told after every decoder pass.</param>
    /// <param name="cancellation">Looked at before every decoder pass.</param>
    /// <returns>One result a prompt, in order.</returns>
    /// <exception cref="ArgumentException">A prompt is empty, too long or holds an id outside the vocabulary; or an option is out of range.</exception>
    /// <exception cref="InvalidOperationException">A logit is not a finite number.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static IReadOnlyList<GenerationResult> Generate(
        DiffusionGemmaModel model, IReadOnlyList<int[]> prompts, GenerationOptions? options = null, INoiseSource? noise = null,
        IProgress<DenoisingStep>? drafts = null, CancellationToken cancellation = default)
    {
        var o = ResolvedGenerationOptions.Resolve(options, model.Folder, model.Config);
        int length = model.Config.CanvasLength, canvases = (o.MaxNewTokens + length - 1) / length;
        Validate(prompts, canvases * length, model.Config);
        if (prompts.Count == 0) return [];
        using SeededNoise? seeded = noise is null ? new SeededNoise(prompts, o.Seed) : null;
        noise ??= seeded!;

        using IDisposable quiet = no_grad();
        using var run = NewDisposeScope();
        int rows = prompts.Count;
        (Tensor unread, Tensor unreadMask) = LeftPadded(prompts, o.PadTokenId);
        bool[] ended = new bool[rows];
        int[] passes = new int[rows];
        List<int>[] answers = [.. prompts.Select(_ => new List<int>())];
        EncoderCache? cache = null;
        try
        {
            for (int canvas = 0; canvas < canvases && ended.Contains(false); canvas++)
            {
                using var scope = NewDisposeScope();
                cache = model.Encode(unread, unreadMask, cache);
                unread = Append(Denoise(canvas, cache)).MoveToOuterDisposeScope();
                unreadMask = ones_like(unread, ScalarType.Bool).MoveToOuterDisposeScope();
            }
        }
        finally
        {
            cache?.Dispose();
        }
        return [.. Enumerable.Range(0, rows).Select(Result)];

        // One canvas, from random tokens to the settled draft [rows,C].
        Tensor Denoise(int canvas, EncoderCache encoded)
        {
            using var scope = NewDisposeScope();
            bool[] done = [.. ended];
            seeded?.SetFinished(done);
            Tensor tokens = noise.Canvas(rows, length, model.Config.VocabularySize).to(model.Device);
            Tensor? conditioning = null, best = null;
            var history = new Queue<Tensor>();
            Tensor doneRows = zeros(rows, dtype: ScalarType.Bool, device: model.Device);
            for (int step = 0; step < o.MaxDenoisingSteps; step++)
            {
                cancellation.ThrowIfCancellationRequested();
                using var pass = NewDisposeScope();
                for (int row = 0; row < rows; row++) passes[row] += done[row] ? 0 : 1;

                // Predict.
                Tensor logits = model.Decode(tokens, encoded, conditioning) / o.Temperature(o.MaxDenoisingSteps - step);
                RequireFinite(logits, canvas, step);
                Tensor sampled = noise.Sample(logits.softmax(-1)).to(model.Device);
                Tensor draft = logits.argmax(-1), entropies = EntropyBoundSampler.Entropy(logits);

                // Settle what is surest, redraw the rest.
                Tensor accepted = EntropyBoundSampler.Accept(entropies, o.EntropyBound);
                Tensor next = where(accepted, sampled, noise.Canvas(rows, length, model.Config.VocabularySize).to(model.Device));

                // Rows that are done with this canvas stay as they were.
                if (conditioning is not null)
                {
                    Tensor keep = doneRows.unsqueeze(-1);
                    (draft, next) = (where(keep, best!, draft), where(keep, tokens, next));
                    logits = where(keep.unsqueeze(-1), conditioning.to(logits.dtype), logits);
                }

                // A row is done when its draft has not moved for a while and its distributions are sharp.
                Tensor stable = ones(rows, dtype: ScalarType.Bool, device: model.Device);
                foreach (Tensor earlier in history) stable = stable.logical_and(earlier.eq(draft).all(-1));
                if (history.Count < o.StabilityThreshold) stable = zeros_like(stable);
                Tensor meanEntropies = EntropyBoundSampler.Entropy(logits).mean([-1]);
                doneRows = doneRows.logical_or(stable.logical_and(meanEntropies < o.ConfidenceThreshold)).MoveToOuterDisposeScope();
                bool[] finished = doneRows.cpu().data<bool>().ToArray();
                for (int row = 0; row < rows; row++) done[row] = ended[row] || finished[row];
                seeded?.SetFinished(done);

                tokens = next.MoveToOuterDisposeScope();
                best = draft.MoveToOuterDisposeScope();
                conditioning?.Dispose();                                                     // [rows,C,V]: never two at once
                conditioning = logits.to(model.DType).MoveToOuterDisposeScope();
                if (o.StabilityThreshold > 0)
                {
                    if (history.Count == o.StabilityThreshold) history.Dequeue();
                    history.Enqueue(best);
                }
                drafts?.Report(new DenoisingStep(
                    canvas, step, Ids(best), [.. Flags(accepted)], meanEntropies.to(ScalarType.Float64).cpu().data<double>().ToArray(), finished));

                // The reference also waits for rows that ended in an earlier canvas, and a recorded source holds draws for that.
                if (!(seeded is null ? finished : done).Contains(false)) break;
            }
            return best!.MoveToOuterDisposeScope();
        }

        // Adds a canvas to the answers; a row ends with its first end token. Returns what is encoded next [rows,C]: padding after a row's end.
        Tensor Append(Tensor best)
        {
            IReadOnlyList<int[]> ids = Ids(best);
            for (int row = 0; row < rows; row++)
            {
                int end = ended[row] ? -1 : Array.FindIndex(ids[row], o.EosTokenIds.Contains), kept = ended[row] ? 0 : end < 0 ? length : end + 1;
                answers[row].AddRange(ids[row][..kept]);
                ids[row].AsSpan(kept).Fill(o.PadTokenId);
                ended[row] |= end >= 0;
            }
            return tensor(ids.SelectMany(row => row.Select(id => (long)id)).ToArray(), device: model.Device).view(rows, length);
        }

        GenerationResult Result(int row)
        {
            int[] ids = [.. answers[row]];
            double tokens = ids.Count(id => id != o.PadTokenId);
            return new GenerationResult(ids, passes[row], tokens / passes[row], ended[row] ? FinishReason.End : FinishReason.Length);
        }
    }

    private static void Validate(IReadOnlyList<int[]> prompts, int newTokens, DiffusionGemmaConfig config)
    {
        for (int row = 0; row < prompts.Count; row++)
        {
            if (prompts[row].Length == 0) throw new ArgumentException($"Prompt {row} is empty.", nameof(prompts));
            if (prompts[row].Length + newTokens > config.MaxPositionEmbeddings)
                throw new ArgumentException($"Prompt {row} has {prompts[row].Length} tokens; with {newTokens} new ones that is more than the model's {config.MaxPositionEmbeddings} positions. Shorten it, or lower MaxNewTokens.", nameof(prompts));
            if (prompts[row].Any(id => id < 0 || id >= config.VocabularySize))
                throw new ArgumentException($"Prompt {row} holds an id outside the vocabulary of {config.VocabularySize}: is it tokenized for another checkpoint?", nameof(prompts));
        }
    }

    private static (Tensor Ids, Tensor Mask) LeftPadded(IReadOnlyList<int[]> prompts, int padId)
    {
        int width = prompts.Max(p => p.Length);
        long[,] ids = new long[prompts.Count, width];
        bool[,] mask = new bool[prompts.Count, width];
        for (int row = 0; row < prompts.Count; row++)
            for (int i = 0, pad = width - prompts[row].Length; i < width; i++)
                (ids[row, i], mask[row, i]) = i < pad ? (padId, false) : (prompts[row][i - pad], true);
        return (tensor(ids), tensor(mask));
    }

    private static void RequireFinite(Tensor logits, int canvas, int step)
    {
        using Tensor finite = logits.isfinite().all(-1).all(-1).cpu();
        int row = Array.IndexOf(finite.data<bool>().ToArray(), false);
        if (row >= 0) throw new InvalidOperationException($"Row {row}, canvas {canvas}, step {step}: a logit is not a finite number. Are the weights, or the adapter, damaged?");
    }

    private static IReadOnlyList<int[]> Ids(Tensor ids)
    {
        using Tensor host = ids.to(ScalarType.Int32).cpu();
        return [.. host.data<int>().ToArray().Chunk((int)ids.shape[1])];
    }

    private static IEnumerable<bool[]> Flags(Tensor flags)
    {
        using Tensor host = flags.cpu();
        return host.data<bool>().ToArray().Chunk((int)flags.shape[1]);
    }
}
