namespace DiffusionGemma;

/// <summary>What prompts begin with alike.</summary>
internal static class SharedPrefix
{
    /// <summary>
    /// The longest common beginning of two prompts or more, or what a single one declares as shared; empty where that is too short to be worth a pass.
    /// </summary>
    public static int[] Of(IReadOnlyList<GenerationRequest> requests)
    {
        if (requests.Count == 0) return [];
        int[] first = requests[0].Prompt;
        int length = requests.Count == 1 ? Math.Min(requests[0].SharedPrefixLength, first.Length - 1) : first.Length - 1;
        foreach (GenerationRequest request in requests.Skip(1))
            length = Math.Min(Math.Min(length, request.Prompt.Length - 1), first.AsSpan().CommonPrefixLength(request.Prompt));
        return length < DenoisingBatch.LeastSharedPrefix ? [] : first[..length];
    }
}
