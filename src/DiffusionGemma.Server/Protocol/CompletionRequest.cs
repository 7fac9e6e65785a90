using Microsoft.Extensions.AI;

namespace DiffusionGemma;

/// <summary>A request of <c>/v1/chat/completions</c>, read and checked.</summary>
/// <param name="Model">The model's name as asked for.</param>
/// <param name="Messages">The conversation.</param>
/// <param name="Options">Options of the answer; the seed is that of the first choice.</param>
/// <param name="Choices">Number of answers.</param>
/// <param name="Streams">True where the answer is streamed.</param>
/// <param name="StreamsUsage">True where the stream ends with the usage.</param>
/// <param name="StreamsDrafts">True where the stream shows the canvas after every denoising step.</param>
internal sealed record CompletionRequest(
    string Model, IReadOnlyList<ChatMessage> Messages, ChatOptions Options, int Choices, bool Streams, bool StreamsUsage,
    bool StreamsDrafts);
