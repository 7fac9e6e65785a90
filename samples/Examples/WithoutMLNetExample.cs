namespace DiffusionGemma.Samples;

/// <summary>Trains and answers without ML.NET: rows, model and answers are plain objects.</summary>
internal static class WithoutMLNetExample
{
    public static void Run(ExampleArguments arguments)
    {
        string folder = HubRepository.DownloadAsync(arguments.Checkpoint).Result;
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(folder);
        ChatTokenizer chat = ChatTokenizer.Load(folder);

        TrainingExample[] rows = [.. Enumerable.Range(0, 100).Select(n => Pack(n % 10, n / 10))];
        using FineTuneResult result = FineTuner.Fit(model, rows, new FineTuneOptions
        {
            Lora = new LoraOptions { Rank = 16, Alpha = 32 },
            MaxSteps = arguments.Steps,
            Epochs = arguments.Steps,
            WarmupSteps = arguments.Steps / 10,
            LearningRate = 1e-3,
        }, new Progress<StepRecord>(step => Console.WriteLine($"step {step.Step + 1}: loss {step.Loss:F3}")));

        int[] prompt = chat.EncodePrompt(ChatConversation.Of(("user", "What is 8 plus 7?")));
        GenerationResult answer = CanvasGenerator.Generate(model, [prompt], new GenerationOptions { MaxNewTokens = 32 })[0];
        Console.WriteLine(chat.Tokenizer.Decode(answer.Ids, skipSpecialTokens: true));
        model.Adapter = null;

        TrainingExample Pack(int a, int b)
        {
            TokenizedChat row = chat.Encode(ChatConversation.Of(
                ("user", $"What is {a} plus {b}?"), ("assistant", $"{a}+{b}={a + b}\n#### {a + b}")));
            return CanvasPacking.Pack(row.Ids, row.AssistantMask, model.Config.CanvasLength, maxLength: 256, chat.Tokenizer.EosId!.Value)!;
        }
    }
}
