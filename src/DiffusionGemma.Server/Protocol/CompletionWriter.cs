using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.AI;

namespace DiffusionGemma;

/// <summary>Writes answers as OpenAI's <c>chat.completion</c> and <c>chat.completion.chunk</c>.</summary>
/// <param name="id">The completion's id.</param>
/// <param name="created">The time of the request.</param>
/// <param name="model">The model's name.</param>
internal sealed class CompletionWriter(string id, DateTimeOffset created, string model)
{
    /// <summary>The whole completion.</summary>
    /// <param name="choices">One response a choice, in order.</param>
    public JsonObject Completion(IReadOnlyList<ChatResponse> choices)
    {
        JsonObject completion = Head("chat.completion");
        completion["choices"] = new JsonArray([.. choices.Select((choice, i) => Choice(choice, i))]);
        completion["usage"] = Usage([.. choices.Select(choice => choice.Usage)]);
        return completion;
    }

    /// <summary>A chunk with a part of one choice.</summary>
    public JsonObject Chunk(int index, JsonObject delta, ChatFinishReason? finish = null)
    {
        JsonObject chunk = Head("chat.completion.chunk");
        chunk["choices"] = new JsonArray(
            new JsonObject { ["index"] = index, ["delta"] = delta, ["logprobs"] = null, ["finish_reason"] = finish?.Value });
        return chunk;
    }

    /// <summary>The last chunk of a stream, with the usage of all choices.</summary>
    public JsonObject UsageChunk(IReadOnlyList<UsageDetails?> usages)
    {
        JsonObject chunk = Head("chat.completion.chunk");
        chunk["choices"] = new JsonArray();
        chunk["usage"] = Usage(usages);
        return chunk;
    }

    /// <summary>The canvas of one choice after a denoising step, as the texts of its tokens.</summary>
    /// <param name="index">The choice.</param>
    /// <param name="draft">The step.</param>
    /// <param name="decode">Makes the text of a token id.</param>
    public JsonObject Draft(int index, DraftUpdate draft, Func<int, string> decode)
    {
        JsonObject chunk = Head("chat.completion.draft");
        chunk["index"] = index;
        chunk["canvas"] = draft.Canvas;
        chunk["step"] = draft.Step;
        chunk["mean_entropy"] = draft.MeanEntropy;
        chunk["tokens"] = new JsonArray([.. draft.Draft.Select(token => (JsonNode)decode(token))]);
        chunk["entropies"] = new JsonArray([.. draft.Entropies.Select(entropy => (JsonNode)Math.Round(entropy, 3))]);
        chunk["settled"] = new JsonArray([.. draft.Settled.Select(settled => (JsonNode)settled)]);
        return chunk;
    }

    /// <summary>The members of a message, or of a chunk's delta, that contents become; empty where they become none.</summary>
    /// <param name="contents">Contents of a response or an update.</param>
    /// <param name="firstCall">Index of the first tool call among them in a stream; null: the message is whole.</param>
    public static JsonObject Message(IEnumerable<AIContent> contents, int? firstCall = null)
    {
        var (text, thought) = (new StringBuilder(), new StringBuilder());
        var calls = new JsonArray();
        foreach (AIContent content in contents)
        {
            switch (content)
            {
                case TextContent part:
                    text.Append(part.Text);
                    break;
                case TextReasoningContent part:
                    thought.Append(part.Text);
                    break;
                case FunctionCallContent call:
                    JsonObject written = Call(call);
                    if (firstCall is { } first) written["index"] = first + calls.Count;
                    calls.Add(written);
                    break;
                case ErrorContent error:                           // a tool call that cannot be read: the client sees it as text
                    text.Append(error.Details ?? error.Message);
                    break;
            }
        }
        var message = new JsonObject();
        if (text.Length > 0) message["content"] = text.ToString();
        if (thought.Length > 0) message["reasoning_content"] = thought.ToString();
        if (calls.Count > 0) message["tool_calls"] = calls;
        return message;
    }

    private static JsonObject Call(FunctionCallContent call) => new()
    {
        ["id"] = call.CallId,
        ["type"] = "function",
        ["function"] = new JsonObject
        {
            ["name"] = call.Name,
            ["arguments"] = JsonSerializer.Serialize(call.Arguments ?? new Dictionary<string, object?>(), AIJsonUtilities.DefaultOptions),
        },
    };

    private static JsonObject Choice(ChatResponse choice, int index)
    {
        JsonObject message = Message(choice.Messages.SelectMany(part => part.Contents));
        message["role"] = "assistant";
        if (!message.ContainsKey("content")) message["content"] = message.ContainsKey("tool_calls") ? null : "";
        message["refusal"] = null;
        return new JsonObject
        {
            ["index"] = index, ["message"] = message, ["logprobs"] = null,
            ["finish_reason"] = (choice.FinishReason ?? ChatFinishReason.Stop).Value,
        };
    }

    /// <summary>The usage of all choices: their prompt is counted once.</summary>
    private static JsonObject Usage(IReadOnlyList<UsageDetails?> usages)
    {
        long prompt = usages.Max(usage => usage?.InputTokenCount ?? 0);
        long answers = usages.Sum(usage => usage?.OutputTokenCount ?? 0);
        return new JsonObject
        {
            ["prompt_tokens"] = prompt,
            ["completion_tokens"] = answers,
            ["total_tokens"] = prompt + answers,
            ["completion_tokens_details"] = new JsonObject
            {
                ["reasoning_tokens"] = usages.Sum(usage => usage?.ReasoningTokenCount ?? 0),
                ["denoising_steps"] = usages.Sum(usage => usage?.AdditionalCounts?[DiffusionGemmaChatClient.StepCount] ?? 0),
            },
        };
    }

    private JsonObject Head(string kind) => new()
    {
        ["id"] = id, ["object"] = kind, ["created"] = created.ToUnixTimeSeconds(), ["model"] = model,
    };
}
