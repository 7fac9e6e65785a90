using System.Diagnostics;
using System.Text;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Tokenizers;

namespace DiffusionGemma.Benchmarks;

/// <summary>Loading the released model's vocabulary, and encoding GSM8K with it on one thread and two.</summary>
internal static class TextBenchmark
{
    public static void Run(bool quick)
    {
        (string? path, string reason) = Gemma4Like.Find();
        if (path is null)
        {
            Figure.Note($"The small vocabulary of tiny-chat is used: {reason}.");
            path = Path.Combine(Fixtures.Checkpoint("tiny-chat"), "tokenizer.json");
        }

        long before = WorkingSet();
        var clock = Stopwatch.StartNew();
        DiffusionGemmaTokenizer tokenizer = DiffusionGemmaTokenizer.Load(path);
        Figure.Print("text.load.s", clock.Elapsed.TotalSeconds, "s");
        GC.Collect();
        Figure.Print("text.load.mib", (WorkingSet() - before) / 1048576.0, "MiB");

        var ml = new MLContext();
        IDataView rows = ml.Data.LoadChatFromParquet(Path.Combine(Fixtures.Root, "datasets", "gsm8k", "train.parquet"), questionColumn: "question", answerColumn: "answer");
        string[] texts = [.. rows.GetColumn<string>("Messages").Take(quick ? 1000 : int.MaxValue)];
        double megabytes = texts.Sum(t => Encoding.UTF8.GetByteCount(t)) / 1e6;
        foreach (int threads in new[] { 1, 2 })
        {
            // Fresh caches for each: what is measured is a first pass over the data.
            tokenizer = DiffusionGemmaTokenizer.Load(path);
            Figure.Print($"text.encode.mbps.{threads}", Rate(tokenizer, texts, threads, megabytes), "MB/s");
        }
    }

    private static double Rate(Tokenizer tokenizer, string[] texts, int threads, double megabytes)
    {
        tokenizer.EncodeToIds(texts[0]);
        var clock = Stopwatch.StartNew();
        Parallel.ForEach(texts, new ParallelOptions { MaxDegreeOfParallelism = threads }, text => tokenizer.EncodeToIds(text));
        return megabytes / clock.Elapsed.TotalSeconds;
    }

    private static long WorkingSet()
    {
        using Process process = Process.GetCurrentProcess();
        return process.WorkingSet64;
    }
}
