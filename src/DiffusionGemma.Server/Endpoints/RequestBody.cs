using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace DiffusionGemma;

/// <summary>Reads the JSON body of a request within its limits.</summary>
internal static class RequestBody
{
    private static readonly JsonDocumentOptions Strict = new() { MaxDepth = 64, AllowDuplicateProperties = false };

    /// <exception cref="OpenAIError">The body is no JSON, too large or too deep.</exception>
    public static async Task<JsonDocument> ReadAsync(HttpRequest request, int maxBytes, CancellationToken cancellation)
    {
        // A page of another site can send text without asking first, JSON it cannot.
        if (!request.HasJsonContentType())
            throw new OpenAIError(StatusCodes.Status415UnsupportedMediaType, "The Content-Type of a request must be application/json.");
        // Before the server's own limit is lowered: it then reads on for a while, so that a client that is still sending gets the answer.
        if (request.ContentLength > maxBytes) throw TooLarge(maxBytes);
        if (request.HttpContext.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit)
            limit.MaxRequestBodySize = maxBytes;
        try
        {
            JsonDocument body = await JsonDocument.ParseAsync(request.Body, Strict, cancellation).ConfigureAwait(false);
            if (body.RootElement.IsUnicode()) return body;
            body.Dispose();
            throw NotUnicode();
        }
        // Of a name, while names are compared with each other.
        catch (InvalidOperationException)
        {
            throw NotUnicode();
        }
        catch (JsonException e)
        {
            throw new OpenAIError(StatusCodes.Status400BadRequest, $"The body is no JSON that can be read: {e.Message}");
        }
        catch (BadHttpRequestException e) when (e.StatusCode == StatusCodes.Status413PayloadTooLarge)
        {
            throw TooLarge(maxBytes);
        }
        catch (BadHttpRequestException e)
        {
            throw new OpenAIError(e.StatusCode, e.Message);
        }
        // A chunk's size beyond 31 bits; or the client is gone, and reads no answer.
        catch (IOException e)
        {
            throw new OpenAIError(StatusCodes.Status400BadRequest, $"The body cannot be read: {e.Message}");
        }
    }

    private static OpenAIError NotUnicode() => new(
        StatusCodes.Status400BadRequest, "The body holds a text that is no Unicode: half of a surrogate pair stands alone.");

    private static OpenAIError TooLarge(int maxBytes) =>
        new(StatusCodes.Status413PayloadTooLarge, $"The body has more than {maxBytes} bytes.", code: "request_too_large");
}
