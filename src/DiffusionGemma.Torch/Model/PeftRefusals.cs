namespace DiffusionGemma;

/// <summary>Words for tensors of an adapter's file that are not low-rank pairs of the model's text part.</summary>
internal static class PeftRefusals
{
    private const string Merge = "Merge the adapter with PEFT (merge_and_unload) and load the merged checkpoint.";

    /// <summary>The error for tensors that nothing has read, the first of each kind named.</summary>
    public static AdapterException Of(string path, IReadOnlyList<string> unread)
    {
        (Func<string, bool> IsOfKind, string Words)[] kinds =
        [
            (name => name.Contains("lora_magnitude_vector", StringComparison.Ordinal), $"belongs to DoRA, which is not supported. {Merge}"),
            (name => name.Contains("embed_tokens", StringComparison.Ordinal) || name.Contains("lm_head", StringComparison.Ordinal)
                || name.Contains("lora_embedding_", StringComparison.Ordinal) || name.Contains("token_adapter", StringComparison.Ordinal),
                $"is a trained embedding, which is not supported. {Merge}"),
            (name => name.EndsWith(".bias", StringComparison.Ordinal), $"is a trained bias, which is not supported. {Merge}"),
            (name => !name.Contains("lora_", StringComparison.Ordinal),
                $"was trained whole (modules_to_save), which is not supported. {Merge}"),
        ];
        foreach ((Func<string, bool> isOfKind, string words) in kinds)
            if (unread.FirstOrDefault(isOfKind) is string first)
                return new AdapterException($"{path}: '{first}' {words}");
        return new AdapterException(
            $"{path}: {unread.Count} tensors belong to nothing that can be adapted here, the first is '{unread[0]}'. Was the adapter made "
            + $"for another model? (Expert stacks must be named in target_parameters of {PeftConfig.FileName}.)");
    }
}
