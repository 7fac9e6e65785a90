using System.Diagnostics;
using System.Text;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Tokenizers;

namespace DiffusionGemma.Benchmarks;

/// <summary>
/// The released model's vocabulary: loading it, encoding GSM8K with it, a long line in linear time, and Microsoft.ML.Tokenizers' own
/// classes on the same text. Rates are in megabytes of UTF-8 a second.
/// </summary>
internal static class TextBenchmark
{
    private const int Rounds = 7;

    public static void Run(bool quick)
    {
        (string? path, string reason) = Gemma4Like.Find();
        if (path is null)
        {
            Figure.Note($"The small vocabulary of tiny-chat is used: {reason}.");
            path = Path.Combine(Fixtures.Checkpoint("tiny-chat"), "tokenizer.json");
        }

        DiffusionGemmaTokenizer tokenizer = MeasureLoading(path);
        ChatConversation[] chats = ReadGsm8k(quick);
        ChatTemplate template = ChatTemplate.Load(Fixtures.Checkpoint("tiny-chat"));
        string[] texts = [.. chats.Select(chat => template.Render(chat, addGenerationPrompt: false).Text)];
        MeasureEncoding(path, texts);
        MeasureChats(new ChatTokenizer(DiffusionGemmaTokenizer.Load(path), template), chats, texts);
        TextLinearity.Measure(tokenizer, quick);
        TextBaselines.Measure(path, tokenizer, texts, isReleasedVocabulary: reason.Length == 0);
    }

    public static double Megabytes(IEnumerable<string> texts) => texts.Sum(text => (long)Encoding.UTF8.GetByteCount(text)) / 1e6;

    /// <summary>Seconds that the encoding of every text takes on so many threads.</summary>
    public static double Seconds(Tokenizer tokenizer, string[] texts, int threads)
    {
        int next = 0;
        var clock = Stopwatch.StartNew();
        Thread[] workers = [.. Enumerable.Range(1, threads - 1).Select(_ => new Thread(Work))];
        foreach (Thread worker in workers) worker.Start();
        Work();
        foreach (Thread worker in workers) worker.Join();
        return clock.Elapsed.TotalSeconds;

        void Work()
        {
            const int Batch = 16;
            for (int from; (from = Interlocked.Add(ref next, Batch) - Batch) < texts.Length;)
                for (int i = from; i < Math.Min(texts.Length, from + Batch); i++)
                    tokenizer.EncodeToIds(texts[i]);
        }
    }

    private static DiffusionGemmaTokenizer MeasureLoading(string path)
    {
        long before = WorkingSet(process => process.WorkingSet64);
        var clock = Stopwatch.StartNew();
        DiffusionGemmaTokenizer tokenizer = DiffusionGemmaTokenizer.Load(path);
        Figure.Print("text.load.s", clock.Elapsed.TotalSeconds, "s");
        Figure.Print("text.load.mib", (WorkingSet(process => process.PeakWorkingSet64) - before) / 1048576.0, "MiB");
        GC.Collect();
        Figure.Print("text.load.held.mib", (WorkingSet(process => process.WorkingSet64) - before) / 1048576.0, "MiB");
        return tokenizer;
    }

    private static ChatConversation[] ReadGsm8k(bool quick)
    {
        var ml = new MLContext();
        IDataView rows =
            ml.Data.LoadChatFromParquet(Path.Combine(Fixtures.Root, "datasets", "gsm8k", "train.parquet"), questionColumn: "question",
                answerColumn: "answer");
        return [.. rows.GetColumn<string>("Messages").Take(quick ? 1000 : int.MaxValue).Select(ChatConversation.Parse)];
    }

    /// <summary>
    /// First passes with nothing remembered, and second ones. The best of several: other programs only ever take time away.
    /// </summary>
    private static void MeasureEncoding(string path, string[] texts)
    {
        double megabytes = Megabytes(texts);
        DiffusionGemmaTokenizer fresh = DiffusionGemmaTokenizer.Load(path);
        Figure.Print("text.encode.process_start.mbps.1", megabytes / Seconds(fresh, texts, 1), "MB/s");
        double[] first = [double.MaxValue, double.MaxValue], again = [double.MaxValue, double.MaxValue], processor =
            [double.MaxValue, double.MaxValue];
        for (int round = 0; round < Rounds; round++)
        {
            foreach (int threads in (int[])[1, 2])
            {
                fresh = DiffusionGemmaTokenizer.Load(path);
                GC.Collect();
                double before = ProcessorSeconds();
                first[threads - 1] = Math.Min(first[threads - 1], Seconds(fresh, texts, threads));
                processor[threads - 1] = Math.Min(processor[threads - 1], ProcessorSeconds() - before);
                again[threads - 1] = Math.Min(again[threads - 1], Seconds(fresh, texts, threads));
            }
        }
        foreach (int threads in (int[])[1, 2])
        {
            Figure.Print($"text.encode.mbps.{threads}", megabytes / first[threads - 1], "MB/s");
            Figure.Print($"text.encode.again.mbps.{threads}", megabytes / again[threads - 1], "MB/s");
        }
        // What two threads cost together in processor time, of what one does: 1 is perfect scaling, even where other programs take the
        // cores.
        Figure.Print("text.encode.processor_ratio.2", processor[1] / processor[0], "x");
    }

    private static double ProcessorSeconds()
    {
        using Process process = Process.GetCurrentProcess();
        return process.TotalProcessorTime.TotalSeconds;
    }

    /// <summary>All that TokenizeChat does for a row: render, encode with offsets, mask.</summary>
    private static void MeasureChats(ChatTokenizer tokenizer, ChatConversation[] chats, string[] texts)
    {
        double best = double.MaxValue;
        for (int round = 0; round < Rounds; round++)
        {
            var clock = Stopwatch.StartNew();
            foreach (ChatConversation chat in chats)
                tokenizer.Encode(chat);
            best = Math.Min(best, clock.Elapsed.TotalSeconds);
        }
        Figure.Print("text.chat.mbps.1", Megabytes(texts) / best, "MB/s");
    }

    private static long WorkingSet(Func<Process, long> read)
    {
        using Process process = Process.GetCurrentProcess();
        return read(process);
    }
}
