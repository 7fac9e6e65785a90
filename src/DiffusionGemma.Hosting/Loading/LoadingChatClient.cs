using System.Runtime.CompilerServices;
using Microsoft.Extensions.AI;

namespace DiffusionGemma;

/// <summary>A client whose requests wait until the model of a service is loaded. The service owns the model.</summary>
internal sealed class LoadingChatClient(DiffusionGemmaService service) : IChatClient
{
    public async Task<ChatResponse> GetResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        DiffusionGemmaChatClient client = await service.GetClientAsync(cancellationToken).ConfigureAwait(false);
        return await client.GetResponseAsync(messages, options, cancellationToken).ConfigureAwait(false);
    }

    public async IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null,
        [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        DiffusionGemmaChatClient client = await service.GetClientAsync(cancellationToken).ConfigureAwait(false);
        await foreach (ChatResponseUpdate update in client.GetStreamingResponseAsync(messages, options, cancellationToken)
            .ConfigureAwait(false))
        {
            yield return update;
        }
    }

    /// <summary>The service, this client, or what the loaded client has; null for the latter until it is loaded.</summary>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        if (serviceKey is not null) return null;
        if (serviceType.IsInstanceOfType(service)) return service;
        return service.Client?.GetService(serviceType) ?? (serviceType.IsInstanceOfType(this) ? this : null);
    }

    public void Dispose()
    {
        // The service owns the client.
    }
}
