using System.CommandLine;

namespace DiffusionGemma;

/// <summary>The options of denoising; those that are not given are the model's own.</summary>
internal sealed class GenerationArguments
{
    private readonly Option<int?> _tokens = CommonOptions.Number("--max-new-tokens", "The most tokens of an answer.", 1);
    private readonly Option<int?> _steps = CommonOptions.Number("--steps", "The most denoising steps of a canvas.", 1);
    private readonly Option<int?> _seed = CommonOptions.Number("--seed", "Seed of the draws.", 0);

    public GenerationArguments(Command command)
    {
        command.Add(_tokens);
        command.Add(_steps);
        command.Add(_seed);
    }

    public GenerationOptions Read(ParseResult parsed) => new()
    {
        MaxNewTokens = parsed.GetValue(_tokens), MaxDenoisingSteps = parsed.GetValue(_steps), Seed = parsed.GetValue(_seed),
    };
}
