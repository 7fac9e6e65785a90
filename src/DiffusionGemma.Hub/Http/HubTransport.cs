using System.Net;
using System.Net.Http.Headers;

namespace DiffusionGemma;

/// <summary>Sends requests and follows redirects by this library's rules: the token goes to the endpoint alone.</summary>
internal sealed class HubTransport : IDisposable
{
    private const int MaxRedirects = 10;

    private readonly HubSettings _settings;
    private readonly HttpClient _http;

    public HubTransport(HubSettings settings)
    {
        _settings = settings;
        var handler = new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            AutomaticDecompression = DecompressionMethods.None,
            UseCookies = false,
            ConnectTimeout = settings.Options.Timeout,
        };
        _http = new HttpClient(handler) { Timeout = Timeout.InfiniteTimeSpan };
        string version = typeof(HubTransport).Assembly.GetName().Version!.ToString(3);
        _http.DefaultRequestHeaders.UserAgent.Add(new ProductInfoHeaderValue("DiffusionGemma.MLNet", version));
        _http.DefaultRequestHeaders.AcceptEncoding.Add(new StringWithQualityHeaderValue("identity"));
    }

    /// <summary>Sends a request; the answer's body is not read yet.</summary>
    /// <param name="method">GET or HEAD.</param>
    /// <param name="address">Where to.</param>
    /// <param name="from">The first byte that is wanted.</param>
    /// <param name="stopAtOtherHost">Return a redirect to another host instead of following it.</param>
    /// <param name="cancellation">Ends the request.</param>
    /// <exception cref="HubException">No answer came, or a redirect must not be followed. A status that
    /// says no is no exception here.</exception>
    public async Task<HubAnswer> SendAsync(HttpMethod method, Uri address, long from, bool stopAtOtherHost, CancellationToken cancellation)
    {
        bool trusted = true;
        for (int redirects = 0; redirects <= MaxRedirects; redirects++)
        {
            // Once a redirect led away, an address of the endpoint is another host's wish: no token for it either.
            trusted &= Origin.IsSame(address, _settings.Endpoint);
            using var request = new HttpRequestMessage(method, address);
            if (trusted && _settings.Token is { } token) request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
            if (from > 0) request.Headers.Range = new RangeHeaderValue(from, null);
            HttpResponseMessage response = await SendOnceAsync(request, cancellation).ConfigureAwait(false);
            if (!IsRedirect(response)) return new HubAnswer(response, address, null);
            try
            {
                response.Headers.TryGetValues("Location", out IEnumerable<string>? locations);
                Uri next = Origin.Follow(address, locations?.First());
                if (stopAtOtherHost && !Origin.IsSame(next, address)) return new HubAnswer(response, address, next);
                address = next;
            }
            catch
            {
                response.Dispose();
                throw;
            }
            response.Dispose();
        }
        throw new HubException(HubError.Refused, $"{Origin.Printable(address)}: more than {MaxRedirects} redirects.");
    }

    public void Dispose() => _http.Dispose();

    private async Task<HttpResponseMessage> SendOnceAsync(HttpRequestMessage request, CancellationToken cancellation)
    {
        using var silence = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        silence.CancelAfter(_settings.Options.Timeout);
        string host = request.RequestUri!.Authority;
        try
        {
            return await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, silence.Token).ConfigureAwait(false);
        }
        catch (HttpRequestException e)
        {
            throw new HubException(HubError.Unreachable, $"{host} cannot be reached ({e.Message}).", e)
            {
                NameNotResolved = e.HttpRequestError == HttpRequestError.NameResolutionError,
            };
        }
        catch (OperationCanceledException e) when (!cancellation.IsCancellationRequested)
        {
            throw new HubException(HubError.Unreachable, $"{host} gave no answer within {_settings.Options.Timeout.TotalSeconds:0} s.", e);
        }
    }

    private static bool IsRedirect(HttpResponseMessage response) =>
        response.StatusCode is HttpStatusCode.MovedPermanently or HttpStatusCode.Found
        or HttpStatusCode.SeeOther or HttpStatusCode.TemporaryRedirect or HttpStatusCode.PermanentRedirect;
}
