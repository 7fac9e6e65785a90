using System.Net.Http.Headers;

namespace DiffusionGemma;

/// <summary>Turns an answer that says no into the exception that says why and the way out.</summary>
internal sealed class HubFaults(HubSettings settings)
{
    /// <param name="answer">An answer without success.</param>
    /// <param name="id">The repository that was asked for.</param>
    /// <param name="file">The file; null: the request was for the repository.</param>
    public HubException Of(HubAnswer answer, HubId id, string? file = null)
    {
        HttpResponseMessage response = answer.Response;
        int status = (int)response.StatusCode;
        string code = answer.Header("X-Error-Code") ?? "", said = Said(answer),
            page = $"{settings.Endpoint.AbsoluteUri.TrimEnd('/')}/{Page(id)}";
        string what = id.Kind == HubKind.Model ? "model" : "data set";
        switch (status, code)
        {
            case (401 or 403, "GatedRepo"):
                return new(HubError.Gated, $"The {what} {id.Repository} is gated ({status}{said}): accept its conditions on {page}, "
                    + (settings.Token is null ? $"then {SetToken}."
                        : "with the account that the token belongs to; a fine-grained token also needs access to gated repositories."));
            case (401 or 404, "RepoNotFound"):
            case (404, "") when file is null:
                return MissingRepository(id, what, status, said);
            case (404, "RevisionNotFound"):
                return new(HubError.RevisionNotFound, $"The {what} {id.Repository} has no revision '{id.Revision}' ({status}{said}). "
                    + $"Its branches and tags: {page}/refs.");
            case (404, _) when file is not null:
                return new(HubError.FileNotFound, $"The {what} {id} has no file '{file}' ({status}{said}). "
                    + $"Its files: {page}/tree/{id.Revision}.");
            case (401, _):
                return new(HubError.Unauthorized, $"{settings.Endpoint.Authority} refuses "
                    + (settings.Token is null ? $"a request for {id} without a token ({status}{said}): {SetToken}."
                    : $"the token for {id} ({status}{said}): it is wrong or has expired. Make a new one on "
                    + $"{settings.Endpoint.AbsoluteUri.TrimEnd('/')}/settings/tokens."));
            case (403, _):
                return new(HubError.Unauthorized, $"{settings.Endpoint.Authority} forbids the request for {id} ({status}{said}): "
                    + (settings.Token is null ? SetToken : "the token lacks the right to read it") + ".");
            case (429, _):
                return new(HubError.RateLimited, $"{answer.Address.Authority} is asked too often ({status}{said})."
                    + (settings.Token is null ? $" Without a token its limits are lower: {SetToken}." : ""))
                {
                    RetryAfter = Wait(response),
                };
            case ( >= 500 or 408, _):
                return new(HubError.ServerFailed, $"{answer.Address.Authority} failed ({status}{said}).") { RetryAfter = Wait(response) };
            default:
                return new(HubError.Refused, $"{Origin.Printable(answer.Address)} answered {status}{said}.");
        }
    }

    private const string SetToken = "set HF_TOKEN to an access token of yours, or put it into the token file";

    private HubException MissingRepository(HubId id, string what, int status, string said)
    {
        string text = id.ToString(), folder = id.Kind == HubKind.Model ? $"There is no folder {Path.GetFullPath(text)}, and n" : "N";
        return new(HubError.RepositoryNotFound, $"{folder}o {what} '{id.Repository}' on {settings.Endpoint.Authority} ({status}{said})."
            + NearestName.Hint(id.Repository, RepositoryCache.Repositories(settings, id.Kind))
            + " Check the spelling; if it is private, "
            + (settings.Token is null ? SetToken : "the token must be of an account that may read it") + ".");
    }

    private static string Page(HubId id) => id.Kind == HubKind.Model ? id.Repository : "datasets/" + id.Repository;

    /// <summary>The server's own words, cut, without control characters, and without the token should they hold it.</summary>
    private string Said(HubAnswer answer)
    {
        string said = answer.Header("X-Error-Message") ?? "";
        if (settings.Token is { } token) said = said.Replace(token, "***", StringComparison.OrdinalIgnoreCase);
        said = string.Concat(said.Where(c => !char.IsControl(c)).Take(300)).Trim().TrimEnd('.');
        return said.Length > 0 ? $": {said}" : answer.Response.StatusCode is var status && Enum.IsDefined(status) ? $", {status}" : "";
    }

    private TimeSpan? Wait(HttpResponseMessage response)
    {
        RetryConditionHeaderValue? after = response.Headers.RetryAfter;
        // By the server's own clock, where it tells: this machine's may be hours behind, or be set back meanwhile.
        TimeSpan? wait = after?.Delta ?? (after?.Date - (response.Headers.Date ?? settings.Options.Clock.GetUtcNow()));
        return wait is { } time && time < TimeSpan.Zero ? TimeSpan.Zero : wait;
    }
}
