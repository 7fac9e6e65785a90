// One small program for each part of the library: dotnet run -c Release --project samples/Examples -- NAME
using DiffusionGemma.Samples;

FriendlyErrors.Install();
Example[] examples =
[
    new("lora", "fine-tunes with a low-rank adapter, saves the model, loads it and answers", LoraExample.Run),
    new("full", "fine-tunes every weight into a Hugging Face folder", FullExample.Run),
    new("resume", "stops a run and goes on where it was", ResumeExample.Run),
    new("evaluate", "measures losses and answers on held-out rows", EvaluateExample.Run),
    new("infill", "fills the gaps of a response", InfillExample.Run),
    new("refine", "starts from a draft of a response", RefineExample.Run),
    new("queue", "answers several callers in one batch", QueueExample.RunAsync),
    new("chat-function", "chats with a model that may call a function", ChatFunctionExample.RunAsync),
    new("data-frame", "fine-tunes on a DataFrame, and shows the history as one", DataFrameExample.Run),
    new("four-ranks", "trains on four ranks of the CPU, with the experts split over them", FourRanksExample.Run),
    new("peft", "exports an adapter in PEFT's format and loads it again", PeftExample.Run),
    new("merge", "merges an adapter into its checkpoint", MergeExample.Run),
    new("without-mlnet", "trains and answers without ML.NET", WithoutMLNetExample.Run),
];

ExampleArguments? arguments = ExampleArguments.Parse(args);
Example[] chosen = [.. examples.Where(example => arguments?.Name == example.Name || arguments?.Name == "all")];
if (arguments is null || chosen.Length == 0)
{
    bool isHelp = args is ["--help" or "-h" or "help"];
    TextWriter output = isHelp ? Console.Out : Console.Error;
    output.WriteLine("Usage: Examples NAME [--checkpoint FOLDER|ID] [--steps N] [--out FOLDER]\n");
    foreach (Example known in examples) output.WriteLine($"  {known.Name,-15} {known.Description}");
    output.WriteLine($"  {"all",-15} every one of them");
    return isHelp ? 0 : 2;
}
foreach (Example example in chosen)
{
    if (chosen.Length > 1) Console.WriteLine($"--- {example.Name}: {example.Description}");
    await example.RunAsync(arguments);
}
return 0;
