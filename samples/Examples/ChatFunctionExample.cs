using System.ComponentModel;
using Microsoft.Extensions.AI;

namespace DiffusionGemma.Samples;

/// <summary>Chats through Microsoft.Extensions.AI with a model that may call a function.</summary>
/// <remarks>The small checkpoint knows no functions, and answers without; the released one calls it.</remarks>
internal static class ChatFunctionExample
{
    public static async Task RunAsync(ExampleArguments arguments)
    {
        using IChatClient client = DiffusionGemmaChatClient.Load(arguments.Checkpoint).AsBuilder().UseFunctionInvocation().Build();
        var options = new ChatOptions { Tools = [AIFunctionFactory.Create(Add, "add")], MaxOutputTokens = 64 };
        await foreach (ChatResponseUpdate update in client.GetStreamingResponseAsync("What is 8 plus 7?", options))
            Console.Write(update.Text);
        Console.WriteLine();
    }

    [Description("Adds two numbers.")]
    private static int Add([Description("The first.")] int a, [Description("The second.")] int b)
    {
        Console.WriteLine($"[add({a}, {b}) was called]");
        return a + b;
    }
}
