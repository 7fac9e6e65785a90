using System.Text.Json.Nodes;

namespace DiffusionGemma.Benchmarks;

/// <summary>
/// Grammars at the released model's size: a token automaton over 262 144 tokens, and what conditioning a canvas of 256 positions on it adds
/// to a denoising step, on one thread.
/// </summary>
internal static class GrammarBenchmark
{
    private const int Positions = 256;

    public static void Run(bool quick)
    {
        (string? path, string reason) = Gemma4Like.Find();
        if (path is null)
        {
            Console.Error.WriteLine($"grammars: {reason}");
            return;
        }
        var tokenizer = DiffusionGemmaTokenizer.Load(Path.GetDirectoryName(path)!);
        var vocabulary = new GrammarVocabulary(tokenizer.VocabularyBytes, new AnswerEnding(1, 106, [107]));
        Measure("fields", AnswerGrammar.JsonSchema(Fields(20).ToJsonString()), vocabulary, quick);
        Measure("strings", AnswerGrammar.JsonSchema(Strings(4).ToJsonString()), vocabulary, quick);
    }

    private static void Measure(string name, AnswerGrammar grammar, GrammarVocabulary vocabulary, bool quick)
    {
        long before = GC.GetTotalAllocatedBytes(precise: true), held = GC.GetTotalMemory(forceFullCollection: true);
        var clock = new ProcessorClock();
        TokenAutomaton automaton = vocabulary.Automaton(grammar);
        Figure.Print($"grammars.{name}.compile_s", clock.Milliseconds / 1000, "s");
        Figure.Print($"grammars.{name}.allocated_mib", (GC.GetTotalAllocatedBytes(precise: true) - before) / 1048576.0, "MiB");
        Figure.Print($"grammars.{name}.held_mib", (GC.GetTotalMemory(forceFullCollection: true) - held) / 1048576.0, "MiB");
        Figure.Print($"grammars.{name}.states", automaton.States, "states");
        Figure.Print($"grammars.{name}.classes", automaton.ClassCount, "classes");
        Figure.Print($"grammars.{name}.edges", automaton.Edges.Count, "edges");

        var random = new Random(1);
        var logits = new float[automaton.VocabularySize];
        for (int v = 0; v < logits.Length; v++) logits[v] = (float)(random.NextDouble() * 40 - 20);
        double[] uniforms = [.. Enumerable.Range(0, Positions).Select(_ => random.NextDouble())];
        bool[] ends = automaton.Within(0);
        var step = new GrammarStep<float>(automaton, Positions);
        double best = double.PositiveInfinity;
        for (int n = 0; n < (quick ? 2 : 6); n++)
        {
            clock = new ProcessorClock();
            for (int i = 0; i < Positions; i++) step.Read(i, logits);
            double read = clock.Milliseconds;
            if (!step.Condition(Positions, automaton.Start, ends)) throw new InvalidOperationException("No answer fits the canvas.");
            double conditioned = clock.Milliseconds;
            step.Draw(Positions, automaton.Start, _ => logits, uniforms, _ => -1);
            double drawn = clock.Milliseconds;
            Console.Error.WriteLine(
                $"grammars.{name}: read {read:0} ms, conditioned {conditioned - read:0} ms, drawn {drawn - conditioned:0} ms");
            best = Math.Min(best, drawn);
        }
        Figure.Print($"grammars.{name}.step_ms", best, "ms");
    }

    /// <summary>An order of twenty fields: numbers, flags, choices, dates and short names.</summary>
    private static JsonObject Fields(int count)
    {
        var properties = new JsonObject();
        for (int n = 0; n < count; n++)
            properties[$"field{n}"] = JsonNode.Parse((n % 5) switch
            {
                0 => """{"type":"integer","minimum":0,"maximum":9999}""",
                1 => """{"type":"boolean"}""",
                2 => """{"enum":["red","green","blue","black","white"]}""",
                3 => """{"type":"string","format":"date"}""",
                _ => """{"type":"string","pattern":"^[A-Z][a-z]{1,11}$"}""",
            });
        return Object(properties);
    }

    private static JsonObject Strings(int count)
    {
        var properties = new JsonObject();
        for (int n = 0; n < count; n++) properties[$"text{n}"] = JsonNode.Parse("""{"type":"string","maxLength":60}""");
        return Object(properties);
    }

    private static JsonObject Object(JsonObject properties) => new()
    {
        ["type"] = "object", ["properties"] = properties, ["required"] = new JsonArray([.. properties.Select(p => (JsonNode)p.Key)]),
    };
}
