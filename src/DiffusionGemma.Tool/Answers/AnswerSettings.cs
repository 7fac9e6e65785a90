namespace DiffusionGemma;

/// <summary>The settings of an answering run.</summary>
/// <param name="Input">A .parquet or .jsonl file, or its address on the Hub.</param>
/// <param name="Output">A .parquet or .jsonl file.</param>
/// <param name="Rows">The columns of a conversation.</param>
/// <param name="Generation">Denoising.</param>
/// <param name="BatchSize">Prompts denoised together.</param>
/// <param name="Restart">Throw away what an earlier run has answered.</param>
/// <param name="ChatTemplate">The file of a chat template; null: the model's.</param>
/// <param name="Quantization">The rounding of an unquantised checkpoint.</param>
internal sealed record AnswerSettings(
    string Input, string Output, ChatDataOptions Rows, GenerationOptions Generation, int BatchSize, bool Restart,
    string? ChatTemplate, Quantization Quantization)
{
    /// <summary>The answers so far, beside the output.</summary>
    public string JournalPath => Output + ".journal";
}
