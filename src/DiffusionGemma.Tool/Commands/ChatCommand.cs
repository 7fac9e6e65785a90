using System.CommandLine;
using System.Text;
using Microsoft.ML;

namespace DiffusionGemma;

/// <summary>A conversation in the terminal that shows each canvas settle, or the answer to one prompt.</summary>
internal static class ChatCommand
{
    public static Command Create(CommandContext context)
    {
        var name = new Argument<string>("MODEL") { Description = ModelReference.Help };
        Option<string?> prompt = CommonOptions.Text("--prompt", "Answer this and end; - reads it from standard input.", "TEXT");
        Option<string?> system = CommonOptions.Text("--system", "Instructions for the model.", "TEXT");
        Option<double?> temperature = CommonOptions.Real("--temperature", "Temperature of the draws (default: the model's schedule).", 0);
        Option<int?> pause = CommonOptions.Number("--pause", "Milliseconds to look at each draft.", 0);
        var command = new Command(
            "chat", "Talks with a model and shows each canvas settle. Ctrl+C ends an answer, and at the prompt the chat.")
        {
            name, prompt, system, temperature, pause,
        };
        Option<string?> template = CommonOptions.ChatTemplate;
        command.Add(template);
        var quantization = new QuantizationOption(command);
        var device = new DeviceOption(command);
        var generation = new GenerationArguments(command);
        command.SetAction(async (parsed, _) =>
        {
            Console.InputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);
            GenerationOptions options = generation.Read(parsed);
            MLContext ml = LogLines.CreateContext(context.Output);
            using ToolModel model = await ToolModel.LoadAsync(
                ml, parsed.GetValue(name)!, device.Read(parsed), context, parsed.GetValue(template), quantization.Read(parsed));
            using DiffusionGemmaChatClient client = Stage.Model(() => model.CreateChatClient(options));
            var settings = new ChatSettings(
                parsed.GetValue(system), options.Seed ?? 0, (float?)parsed.GetValue(temperature), options.MaxNewTokens,
                parsed.GetValue(pause) ?? 0);
            var session = new ChatSession(client, settings, context.Output);
            context.Interruption.Handler = session.TryCancel;
            if (parsed.GetValue(prompt) is { } question)
                return await session.AskAsync(question == "-" ? await Console.In.ReadToEndAsync() : question);
            bool isTerminal = !Console.IsInputRedirected && context.Output.HasOutputTerminal && !context.Output.IsJson;
            return await new ChatPrompt(session, context.Output, isTerminal).RunAsync();
        });
        return command;
    }
}
