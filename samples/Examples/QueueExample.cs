namespace DiffusionGemma.Samples;

/// <summary>Answers several callers in one batch: rows join and leave it between two passes of the decoder.</summary>
internal static class QueueExample
{
    public static async Task RunAsync(ExampleArguments arguments)
    {
        string folder = await HubRepository.DownloadAsync(arguments.Checkpoint);
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(folder);
        ChatTokenizer chat = ChatTokenizer.Load(folder);
        await using var queue = new GenerationQueue(model, new GenerationOptions { MaxNewTokens = 32 }, batchSize: 4);

        string[] questions = ["What is 8 plus 7?", "What is 2 plus 3?", "What is 4 times 5?"];
        string[] answers = await Task.WhenAll(questions.Select(async question =>
        {
            int[] prompt = chat.EncodePrompt(ChatConversation.Of(("user", question)));
            GenerationResult? result = null;
            await foreach (GenerationUpdate update in queue.StreamAsync(new GenerationRequest(prompt)))
                if (update is CompletedUpdate done) result = done.Result;
            return $"{question}  {chat.Tokenizer.Decode(result!.Ids, skipSpecialTokens: true).Trim()}  ({result.Steps} steps)";
        }));
        foreach (string answer in answers) Console.WriteLine(answer);
    }
}
