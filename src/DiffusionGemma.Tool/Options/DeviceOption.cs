using System.CommandLine;
using TorchSharp;

namespace DiffusionGemma;

/// <summary>The option that names a device. Only <see cref="Read"/> loads libtorch.</summary>
internal sealed class DeviceOption
{
    private const string Name = "--device", Cpu = "cpu", Cuda = "cuda", CudaPrefix = "cuda:";

    private readonly Option<string?> _option = new(Name)
    {
        Description = "cpu, cuda, or cuda:N. By default the first CUDA device, or the CPU where there is none.",
        HelpName = "DEVICE",
    };

    public DeviceOption(Command command)
    {
        _option.Validators.Add(result =>
        {
            string name = result.Tokens[^1].Value;
            if (name is not (Cpu or Cuda) && Index(name) is null)
                result.AddError($"{Name} '{name}' is not a device: name cpu, cuda, or cuda:N.");
        });
        command.Add(_option);
    }

    /// <returns>Null where none is named.</returns>
    /// <exception cref="ToolException">The device is not there.</exception>
    public torch.Device? Read(ParseResult parsed)
    {
        if (parsed.GetValue(_option) is not { } name) return null;
        if (name == Cpu) return torch.CPU;
        string reason;
        try
        {
            var device = new torch.Device(DeviceType.CUDA, Index(name) ?? 0);
            if (DiffusionGemmaRuntime.IsAvailable(device, out reason)) return device;
        }
        catch (InvalidOperationException)
        {
            reason = "there is no such device here; diffusion-gemma --version says what was found.";
        }
        throw new ToolException(ExitCode.Device, $"{Name} {name}: {reason}");
    }

    private static int? Index(string name) => name.StartsWith(CudaPrefix, StringComparison.Ordinal)
        && int.TryParse(name[CudaPrefix.Length..], System.Globalization.CultureInfo.InvariantCulture, out int index) && index >= 0
        ? index : null;
}
