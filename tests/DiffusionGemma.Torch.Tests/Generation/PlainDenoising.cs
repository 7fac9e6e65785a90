using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Denoising of one row restated plainly: the public passes of the model, whole logits, doubles on the host, one loop. Draws come from the
/// same generator in the same order, so that in float64 every token must be equal.
/// </summary>
internal static class PlainDenoising
{
    public static int[] Answer(DiffusionGemmaModel model, GenerationRequest request, GenerationOptions options)
    {
        ResolvedGenerationOptions o = ResolvedGenerationOptions.Resolve(options, model.Folder, model.Config);
        int canvas = model.Config.CanvasLength, vocabulary = model.Config.VocabularySize;
        int lastPinned = request.Pinned?.Keys.DefaultIfEmpty(-1).Max() ?? -1;
        using var noise = new RowNoise(request.Prompt, o.Seed);
        var answer = new List<int>();
        using EncoderCache cache = model.Encode(Ids(request.Prompt));
        for (int number = 0; ; number++)
        {
            int Absolute(int i) => (number * canvas) + i;
            bool IsPinned(int i) => request.Pinned?.ContainsKey(Absolute(i)) ?? false;
            int Fixed(int i, int token) => IsPinned(i) ? request.Pinned![Absolute(i)] : token;
            int[] tokens =
            [
                .. noise.Canvas(canvas, vocabulary).Select(
                    (r, i) => Fixed(i, Absolute(i) < (request.Draft?.Count ?? 0) ? request.Draft![Absolute(i)] : r)),
            ];
            int[] draft = tokens;
            bool[] committed = [.. tokens.Select((_, i) => IsPinned(i))];
            int stable = 0;
            Tensor? conditioning = null;
            for (int step = 0; step < o.MaxDenoisingSteps && Enumerable.Range(0, canvas).Any(i => !IsPinned(i)); step++)
            {
                double temperature = o.TMax == 0 ? 1 : o.TMin + ((o.TMax - o.TMin) * (o.MaxDenoisingSteps - step) / o.MaxDenoisingSteps);
                Tensor logits = model.Decode(Ids(tokens), cache, conditioning) / temperature;
                double[][] p = Rows(logits.softmax(-1)[0]);
                double[] entropies = [.. p.Select((row, i) => IsPinned(i) ? 0 : -row.Where(v => v > 0).Sum(v => v * Math.Log(v)))];
                int[] best = [.. p.Select(row => Array.IndexOf(row, row.Max()))];
                double[] uniforms = noise.Uniforms(canvas);
                int[] random = noise.Canvas(canvas, vocabulary);
                (int Token, double Probability)[] proposals =
                [
                    .. p.Select((row, i) => o.TMax == 0 ? (best[i], row[best[i]]) : Draw(row, uniforms[i], o.TopK, o.TopP)),
                ];

                var next = new int[canvas];
                bool complete = false;
                if (o.Sampler == CanvasSampler.EntropyBound)
                {
                    for (int i = 0; i < canvas; i++)
                    {
                        double surer = entropies.Where((e, j) => e < entropies[i] || e == entropies[i] && j < i).Sum();
                        next[i] = surer <= o.EntropyBound ? proposals[i].Token : random[i];
                    }
                    draft = Same(best, draft, step, ref stable, Fixed);
                }
                else
                {
                    int before = committed.Count(c => c);
                    int target = Math.Max((int)Math.Ceiling((step + 1.0) * canvas / o.MaxDenoisingSteps), before + o.MinimumCommits);
                    bool edited = false;
                    for (int i = 0; i < canvas; i++)
                    {
                        bool edit = committed[i] && !IsPinned(i) && o.EditThreshold is double e && proposals[i].Token != tokens[i]
                            && proposals[i].Probability > e;
                        edited |= edit;
                        next[i] = edit ? proposals[i].Token : committed[i] ? tokens[i] : random[i];
                    }
                    int[] open =
                    [
                        .. Enumerable.Range(0, canvas).Where(i => !committed[i]).OrderByDescending(i => proposals[i].Probability),
                    ];
                    for (int rank = 0; rank < open.Length; rank++)
                    {
                        int i = open[rank];
                        if (before + rank >= target && proposals[i].Probability <= o.CommitThreshold) continue;
                        (next[i], committed[i]) = (proposals[i].Token, true);
                    }
                    draft = Same([.. best.Select((b, i) => committed[i] ? next[i] : b)], draft, step, ref stable, Fixed);
                    complete = !edited && !committed.Contains(false);
                }
                tokens = [.. next.Select((t, i) => Fixed(i, t))];
                conditioning = logits;
                double mean = entropies.Where((_, i) => !IsPinned(i)).Average();
                if (complete || stable >= o.StabilityThreshold && mean < o.ConfidenceThreshold) break;
            }
            int end = Enumerable.Range(0, canvas).FirstOrDefault(i => Absolute(i) >= lastPinned && o.EosTokenIds.Contains(draft[i]), -1);
            answer.AddRange(end < 0 ? draft : draft[..(end + 1)]);
            if (end >= 0 || answer.Count >= o.MaxNewTokens) return [.. answer.Take(o.MaxNewTokens)];
            model.Encode(Ids(draft), null, cache);
        }
    }

    private static int[] Same(int[] draft, int[] former, int step, ref int stable, Func<int, int, int> pin)
    {
        int[] pinned = [.. draft.Select((t, i) => pin(i, t))];
        stable = step > 0 && pinned.SequenceEqual(former) ? stable + 1 : 0;
        return pinned;
    }

    private static (int, double) Draw(double[] p, double uniform, int topK, double topP)
    {
        int[] kept = [.. Enumerable.Range(0, p.Length)];
        if (topK > 0 && topK < p.Length || topP < 1)
        {
            kept = [.. kept.OrderByDescending(i => p[i])];
            if (topK > 0) kept = [.. kept.Take(topK)];
            double whole = kept.Sum(i => p[i]), sum = 0;
            kept = [.. kept.TakeWhile(i => { bool more = sum < topP * whole; sum += p[i]; return more; })];
        }
        double total = kept.Sum(i => p[i]), reached = 0;
        foreach (int i in kept)
        {
            reached += p[i];
            if (reached > uniform * total) return (i, p[i] / total);
        }
        return (kept[^1], p[kept[^1]] / total);
    }

    private static Tensor Ids(int[] ids) => tensor(Array.ConvertAll(ids, id => (long)id)).unsqueeze(0);

    private static double[][] Rows(Tensor t) => [.. t.to(ScalarType.Float64).data<double>().ToArray().Chunk((int)t.shape[1])];
}
