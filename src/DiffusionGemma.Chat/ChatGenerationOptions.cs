using Microsoft.Extensions.AI;

namespace DiffusionGemma;

/// <summary>The framework's options as this library's.</summary>
internal static class ChatGenerationOptions
{
    /// <exception cref="NotSupportedException">An option cannot be honoured; the message names it.</exception>
    public static GenerationOptions Of(ChatOptions? options, IChatClient client, string? modelId)
    {
        if (options is null) return new GenerationOptions();
        static void Refuse(bool asked, string option, string why)
        {
            if (asked) throw new NotSupportedException($"ChatOptions.{option} cannot be honoured: {why}.");
        }

        Refuse(options.ConversationId is not null, nameof(options.ConversationId), "no conversation is kept here; give the whole history with every request");
        Refuse(options.FrequencyPenalty is not (null or 0), nameof(options.FrequencyPenalty), "denoising knows no such penalty");
        Refuse(options.PresencePenalty is not (null or 0), nameof(options.PresencePenalty), "denoising knows no such penalty");
        Refuse(options.ModelId is { } asked && asked != modelId, nameof(options.ModelId), $"this client has the model '{modelId}' alone");
        var raw = options.RawRepresentationFactory?.Invoke(client) as GenerationOptions;
        return new GenerationOptions
        {
            MaxNewTokens = options.MaxOutputTokens,
            TMin = options.Temperature,
            TMax = options.Temperature,
            TopK = options.TopK,
            TopP = options.TopP,
            Seed = options.Seed,
        }.Over(raw);
    }
}
