using System.CommandLine;

namespace DiffusionGemma;

/// <summary>The option that rounds an unquantised checkpoint while it is loaded.</summary>
internal sealed class QuantizationOption
{
    private const string Unchanged = "none", EightBits = "int8", FourBits = "int4";

    private readonly Option<string> _option = CommonOptions.Choice(
        "--quantization", "Rounds the weights of an unquantised checkpoint while they are loaded.", Unchanged, EightBits, FourBits);

    public QuantizationOption(Command command) => command.Add(_option);

    public Quantization Read(ParseResult parsed) => parsed.GetValue(_option) switch
    {
        EightBits => Quantization.Int8,
        FourBits => Quantization.Int4,
        _ => Quantization.None,
    };
}
