using Microsoft.Extensions.AI;

namespace DiffusionGemma;

/// <summary>Chat with a model that is already loaded.</summary>
public static class DiffusionGemmaChatExtensions
{
    /// <summary>
    /// An <see cref="IChatClient"/> over the model, with the tokenizer and chat template of its folder. The model stays its owner's; while
    /// the client lives, nobody else may use it. The model of a pipeline: <c>transformer.Model.AsIChatClient()</c>.
    /// </summary>
    /// <param name="model">The model, with or without an adapter.</param>
    /// <param name="options">For all requests, where their own are null; null entries: the checkpoint folder's.</param>
    /// <param name="batchSize">Requests answered together.</param>
    /// <param name="escapesUserText">True: users' text and tool results bring no control tokens.</param>
    /// <param name="chatTemplate">The file of a chat template of one's own; null: the checkpoint's.</param>
    /// <exception cref="FileNotFoundException">The model's folder has no tokenizer or chat template.</exception>
    public static DiffusionGemmaChatClient AsIChatClient(
        this DiffusionGemmaModel model, GenerationOptions? options = null, int batchSize = 8, bool escapesUserText = true,
        string? chatTemplate = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ChatTokenizer tokenizer = ChatTokenizer.Load(model.Folder, chatTemplate);
        return new DiffusionGemmaChatClient(
            new GenerationQueue(model, options, batchSize), tokenizer, DiffusionGemmaChatClient.NameOf(model.Folder), ownsQueue: true,
            escapesUserText);
    }
}
