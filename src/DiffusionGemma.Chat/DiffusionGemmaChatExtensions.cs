using Microsoft.Extensions.AI;

namespace DiffusionGemma;

/// <summary>Chat with a model that is already loaded.</summary>
public static class DiffusionGemmaChatExtensions
{
    /// <summary>
    /// An <see cref="IChatClient"/> over the model, with the tokenizer and chat template of its folder. The model stays its owner's; while the client
    /// lives, nobody else may use it. The model of a pipeline: <c>transformer.Model.AsIChatClient()</c>.
    /// </summary>
    /// <param name="model">The model, with or without an adapter.</param>
    /// <param name="options">Null: the checkpoint's own values.</param>
    /// <exception cref="FileNotFoundException">The model's folder has no tokenizer or chat template.</exception>
    public static DiffusionGemmaChatClient AsIChatClient(this DiffusionGemmaModel model, DiffusionGemmaChatOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ChatTokenizer tokenizer = ChatTokenizer.Load(model.Folder, new ChatTokenizerOptions { EscapeSpecialTokens = options?.EscapeSpecialTokens ?? false });
        return new DiffusionGemmaChatClient(model, tokenizer, options);
    }
}
