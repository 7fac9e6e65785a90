using System.Text.Json;

namespace DiffusionGemma;

/// <summary>One call of the Python client.</summary>
internal sealed record RecordedStep(string Result, IReadOnlyList<RecordedRequest> Requests)
{
    public static RecordedStep Read(JsonElement step) => new(step.GetProperty("result").GetString()!,
        [.. step.GetProperty("exchange").EnumerateArray().Select(RecordedRequest.Read)]);
}

/// <summary>One request of the Python client, and its answer.</summary>
internal sealed record RecordedRequest(bool SecondHost, string Method, string Path, bool Authorized, int Status,
    IReadOnlyDictionary<string, string> Headers)
{
    public static RecordedRequest Read(JsonElement request) => new(
        request.GetProperty("host").GetString() == "second host",
        request.GetProperty("method").GetString()!,
        request.GetProperty("path").GetString()!,
        request.GetProperty("request").TryGetProperty("authorization", out _),
        request.GetProperty("status").GetInt32(),
        request.GetProperty("response").EnumerateObject().ToDictionary(header => header.Name, header => header.Value.GetString()!));

    public override string ToString() => $"{(SecondHost ? "second host" : "endpoint")}: {Method} {Path}{(Authorized ? " with token" : "")}";
}
