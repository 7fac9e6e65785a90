namespace DiffusionGemma;

/// <summary>Finds the tokens that prompts have in common at their beginning.</summary>
internal static class SharedPrefix
{
    /// <summary>Tokens of the shortest common beginning that is worth a pass of its own.</summary>
    public const int LeastLength = 64;

    /// <summary>
    /// Returns the longest common beginning of two or more prompts, or the one that a single prompt declares as shared, in whole blocks of
    /// attention, so that prompts that share it are encoded as they are alone; empty where it is too short to be worth a pass.
    /// </summary>
    public static int[] Find(IReadOnlyList<GenerationRequest> requests)
    {
        if (requests.Count == 0) return [];
        int[] first = requests[0].Prompt;
        int length = requests.Count == 1 ? Math.Min(requests[0].SharedPrefixLength, first.Length - 1) : first.Length - 1;
        foreach (GenerationRequest request in requests.Skip(1))
            length = Math.Min(Math.Min(length, request.Prompt.Length - 1), first.AsSpan().CommonPrefixLength(request.Prompt));
        length -= length % Attention.PositionBlock;
        return length < LeastLength ? [] : first[..length];
    }
}
