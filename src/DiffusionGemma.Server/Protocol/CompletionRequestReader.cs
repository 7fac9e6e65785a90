using System.Text.Json;
using Microsoft.Extensions.AI;

namespace DiffusionGemma;

/// <summary>
/// Reads the body of <c>/v1/chat/completions</c>. Every member is used, is one that changes nothing here, or is refused by name.
/// </summary>
internal sealed class CompletionRequestReader(DiffusionGemmaServerOptions limits)
{
    /// <summary>Members for the service's own books: they do not change an answer.</summary>
    private static readonly string[] WithoutEffect =
        ["user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "service_tier", "store", "verbosity"];

    private const string TemplateArguments = "chat_template_kwargs";

    /// <summary>Arguments of the chat template that the server sets itself.</summary>
    private static readonly string[] OwnArguments = ["messages", "tools", "add_generation_prompt"];

    private static readonly string[] Known =
    [
        "model", "messages", "tools", "tool_choice", "parallel_tool_calls", "stream", "stream_options", "max_tokens",
        "max_completion_tokens", "temperature", "top_p", "top_k", "seed", "stop", "n", "response_format", "reasoning_effort",
        TemplateArguments, "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs", "logit_bias", "modalities", "audio",
        "functions", "function_call", "prediction", "web_search_options", .. WithoutEffect,
    ];

    /// <exception cref="OpenAIError">The request cannot be used.</exception>
    public CompletionRequest Read(JsonElement body)
    {
        if (body.ValueKind != JsonValueKind.Object)
            throw new OpenAIError(400, "The body is no JSON object.");
        body.RequireKnown("", Known);
        RefuseUnsupported(body);
        JsonElement messages = (body.Find("messages") ?? throw OpenAIError.BadRequest("messages", "'messages' is missing."))
            .RequireArray("messages");
        if (messages.GetArrayLength() > limits.MaxMessages)
            throw OpenAIError.BadRequest("messages", $"There are {messages.GetArrayLength()} messages; at most {limits.MaxMessages}.");
        JsonElement? stream = body.Find("stream_options")?.RequireObject("stream_options");
        stream?.RequireKnown("stream_options", "include_usage", "include_drafts", "include_obfuscation");
        bool streams = body.Find("stream")?.RequireBoolean("stream") ?? false;
        if (stream is not null && !streams) throw OpenAIError.BadRequest("stream_options", "'stream_options' needs 'stream': true.");
        return new CompletionRequest(
            (body.Find("model") ?? throw OpenAIError.BadRequest("model", "'model' is missing.")).RequireText("model"),
            MessageReader.Read(messages),
            Options(body),
            body.Find("n")?.RequireInteger("n", 1, limits.MaxChoices) ?? 1,
            streams,
            stream?.Find("include_usage")?.RequireBoolean("stream_options.include_usage") ?? false,
            stream?.Find("include_drafts")?.RequireBoolean("stream_options.include_drafts") ?? false);
    }

    private ChatOptions Options(JsonElement body)
    {
        const string Limit = "max_tokens", NewLimit = "max_completion_tokens";
        var options = new ChatOptions
        {
            MaxOutputTokens = body.Find(NewLimit)?.RequireInteger(NewLimit, 1, limits.MaxTokens)
                ?? body.Find(Limit)?.RequireInteger(Limit, 1, limits.MaxTokens),
            Temperature = (float?)body.Find("temperature")?.RequireNumber("temperature", 0, 2),
            TopP = body.Find("top_p")?.RequireNumber("top_p", 0, 1) is { } topP and not 1 ? (float)topP : null,
            TopK = body.Find("top_k")?.RequireInteger("top_k", 1, int.MaxValue),
            // Without a seed every answer is another one, as users of this protocol expect.
            Seed = body.Find("seed") is { } seed ? Seed(seed) : Random.Shared.NextInt64(),
            StopSequences = Stops(body.Find("stop")),
            ResponseFormat = Format(body.Find("response_format")),
            Reasoning = Reasoning(body.Find("reasoning_effort")),
            AllowMultipleToolCalls = body.Find("parallel_tool_calls")?.RequireBoolean("parallel_tool_calls"),
        };
        if (options.TopP == 0) throw OpenAIError.BadRequest("top_p", "'top_p' is 0; it is above 0.");
        if (body.Find(TemplateArguments) is { } arguments)
        {
            arguments.RequireObject(TemplateArguments);
            foreach (string name in OwnArguments.Where(name => arguments.TryGetProperty(name, out _)))
                throw OpenAIError.BadRequest(
                    $"{TemplateArguments}.{name}", $"'{TemplateArguments}.{name}' is the server's own: the request's messages and tools "
                    + "say it.");
            options.AdditionalProperties = new AdditionalPropertiesDictionary { [TemplateArguments] = arguments };
        }
        ToolReader.Read(body, options, limits.MaxTools);
        return options;
    }

    private static long Seed(JsonElement value) => value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out long seed)
        ? seed : throw OpenAIError.BadRequest("seed", "'seed' is a whole number of 64 bits.");

    private static List<string>? Stops(JsonElement? value)
    {
        if (value is not { } stop) return null;
        string[] stops = stop.ValueKind == JsonValueKind.Array
            ? [.. stop.EnumerateArray().Select((item, i) => item.RequireText($"stop[{i}]"))] : [stop.RequireText("stop")];
        if (stops.Length > 16 || stops.Any(text => text.Length is 0 or > 1000))
            throw OpenAIError.BadRequest("stop", "'stop' holds at most 16 texts of 1 to 1000 characters.");
        return [.. stops];
    }

    private static ChatResponseFormat? Format(JsonElement? value)
    {
        if (value?.RequireObject("response_format") is not { } format) return null;
        string type = (format.Find("type") ?? throw OpenAIError.BadRequest("response_format.type", "'response_format.type' is missing."))
            .RequireText("response_format.type");
        if (type == "text") return ChatResponseFormat.Text;
        if (type == "json_object") return ChatResponseFormat.Json;
        const string Path = "response_format.json_schema";
        if (type != "json_schema")
            throw OpenAIError.BadRequest("response_format.type", $"'{type}' is not supported: text, json_object and json_schema are.");
        JsonElement about = (format.Find("json_schema") ?? throw OpenAIError.BadRequest(Path, $"'{Path}' is missing.")).RequireObject(Path);
        about.RequireKnown(Path, "name", "description", "schema", "strict");
        JsonElement schema = about.Find("schema") ?? throw OpenAIError.BadRequest($"{Path}.schema", $"'{Path}.schema' is missing.");
        return ChatResponseFormat.ForJsonSchema(
            schema.Clone(), about.Find("name")?.RequireText($"{Path}.name"), about.Find("description")?.RequireText($"{Path}.description"));
    }

    private static ReasoningOptions? Reasoning(JsonElement? value) => value?.RequireText("reasoning_effort") switch
    {
        null => null,
        "none" => new ReasoningOptions { Effort = ReasoningEffort.None },
        "minimal" or "low" => new ReasoningOptions { Effort = ReasoningEffort.Low },
        "medium" => new ReasoningOptions { Effort = ReasoningEffort.Medium },
        "high" or "xhigh" => new ReasoningOptions { Effort = ReasoningEffort.High },
        string other => throw OpenAIError.BadRequest(
            "reasoning_effort", $"'{other}' is not supported: none, minimal, low, medium, high and xhigh are."),
    };

    /// <summary>Refuses members that ask for what this model cannot do; their values that ask for nothing pass.</summary>
    private static void RefuseUnsupported(JsonElement body)
    {
        void Refuse(string name, Func<JsonElement, bool> asksForNothing, string reason)
        {
            if (body.Find(name) is { } value && !asksForNothing(value)) throw OpenAIError.BadRequest(name, $"'{name}' {reason}");
        }

        static bool Never(JsonElement value) => false;
        static bool IsZero(JsonElement value) => value.ValueKind == JsonValueKind.Number && value.GetDouble() == 0;
        const string NoOrder = "is not supported: a canvas has no order in which tokens are written.";
        Refuse("frequency_penalty", IsZero, NoOrder);
        Refuse("presence_penalty", IsZero, NoOrder);
        Refuse("logprobs", value => value.ValueKind == JsonValueKind.False, NoOrder);
        Refuse("top_logprobs", IsZero, NoOrder);
        Refuse("logit_bias", value => value.ValueKind == JsonValueKind.Object && !value.EnumerateObject().Any(), "is not supported.");
        Refuse(
            "modalities", value => value.ValueKind == JsonValueKind.Array && value.EnumerateArray().All(item => item.IsText("text")),
            "is not supported: this model writes text alone.");
        Refuse("audio", Never, "is not supported: this model writes text alone.");
        Refuse("functions", Never, "is not supported: give 'tools'.");
        Refuse("function_call", Never, "is not supported: give 'tool_choice'.");
        Refuse("prediction", Never, "is not supported.");
        Refuse("web_search_options", Never, "is not supported.");
    }
}
