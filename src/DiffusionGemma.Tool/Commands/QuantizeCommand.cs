using System.CommandLine;
using TorchSharp;

namespace DiffusionGemma;

/// <summary>Writes a checkpoint's folder with weights of fewer bits.</summary>
internal static class QuantizeCommand
{
    private const string FourBits = "4", EightBits = "8";

    public static Command Create(CommandContext context)
    {
        var name = new Argument<string>("CHECKPOINT") { Description = "A checkpoint's folder, or its id on the Hub (org/name)." };
        Option<string> output = CommonOptions.Path("--output", "The Hugging Face folder that is written.", "FOLDER");
        Option<string> bits = CommonOptions.Choice(
            "--bits", "Bits of a weight: 4 with a scale for 32 numbers, 8 with a scale a row.", FourBits, EightBits);
        var command = new Command(
            "quantize", "Writes a checkpoint's folder with weights of 4 or 8 bits, which loads without rounding again.")
        {
            name, output, bits,
        };
        command.SetAction((parsed, cancellation) => RunAsync(
            context, parsed.GetValue(name)!, parsed.GetValue(output)!,
            parsed.GetValue(bits) == EightBits ? Quantization.Int8 : Quantization.Int4, cancellation));
        return command;
    }

    private static async Task<int> RunAsync(
        CommandContext context, string name, string folder, Quantization quantization, CancellationToken cancellation)
    {
        OutputFolders.RequireFree(folder);
        ModelReference reference = await ModelReference.FindAsync(name, context);
        if (File.Exists(name)) throw new ToolException(ExitCode.Usage, $"{name} is a file: name the folder of a checkpoint.");
        if (reference.Zip is not null || reference.Adapter is not null)
            throw new ToolException(
                ExitCode.Usage, $"{name} is trained, and not a checkpoint: write its adapter into the weights first (merge), or name the "
                    + "folder of its weights.");
        string source = reference.Checkpoint!;
        torch.InitializeDeviceType(DeviceType.CPU);
        IReadOnlyList<string> notices = await WorkProgress.RunAsync(context.Output, "quantizing", progress =>
        {
            IReadOnlyList<string> Create() =>
                QuantizedCheckpoint.Create(source, folder, quantization, new Files(progress), cancellation);
            return OutputFolders.Write(folder, Create);
        }, shareBetweenLines: 0);
        foreach (string notice in notices) context.Output.Say($"note: {notice}");
        long before = WeightBytes(source), after = WeightBytes(folder);
        context.Output.Say(ToolOutput.Text(
            $"weights {before / 1e6:N1} MB before, {after / 1e6:N1} MB after: {(double)after / before:P0} of them"));
        context.Output.Result(folder, new
        {
            Event = "quantized", Folder = folder, Quantization = quantization.ToString(), BytesBefore = before, BytesAfter = after,
        });
        return ExitCode.Success;
    }

    /// <summary>Bytes of the weights' files; links, as in the Hub's cache, count as what they lead to.</summary>
    private static long WeightBytes(string folder) => new DirectoryInfo(folder).EnumerateFiles("*.safetensors")
        .Sum(file => file.ResolveLinkTarget(returnFinalTarget: true) is FileInfo target ? target.Length : file.Length);

    /// <summary>Shows the file that is written next.</summary>
    private sealed class Files(WorkProgress progress) : IProgress<string>
    {
        public void Report(string value) => progress.Report(0, 0, value);
    }
}
