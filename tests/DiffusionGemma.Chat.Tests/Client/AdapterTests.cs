using Microsoft.Extensions.AI;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>One client, or one for each name, over several adapters of tiny-chat.</summary>
public sealed class AdapterTests : IDisposable
{
    private const string Question = "What is 2 plus 3?";
    private static readonly ChatOptions Options = new() { Seed = 3, MaxOutputTokens = 32 };
    private readonly DiffusionGemmaModel _model;
    private readonly LoraAdapter _one;
    private readonly LoraAdapter _two;
    private readonly DiffusionGemmaChatClient _client;

    public AdapterTests()
    {
        DiffusionGemmaRuntime.EnsureUsable();
        set_num_threads(1);
        _model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-chat"), CPU, ScalarType.Float64);
        (_one, _two) = (DrawnAdapter.Create(_model, 1, 2), DrawnAdapter.Create(_model, 2, 2));
        _client = _model.AsIChatClient(batchSize: 4);
    }

    public void Dispose()
    {
        _client.Dispose();
        _one.Dispose();
        _two.Dispose();
        _model.Dispose();
    }

    [Fact]
    public async Task ARequestNamesItsAdapterAsModelId()
    {
        string plain = Expected(null);
        _client.Adapters["one"] = _one;
        _client.Adapters["two"] = _two;
        Task<ChatResponse> Ask(string? name) => _client.GetResponseAsync(Question, With(name));
        ChatResponse[] responses = await Task.WhenAll(new[] { null, "tiny-chat", "one", "two" }.Select(Ask));
        Assert.Equal([plain, plain, Expected(_one), Expected(_two)], responses.Select(r => r.Text));
        Assert.Equal(3, responses.Select(r => r.Text).Distinct().Count());
        Assert.Equal(["tiny-chat", "tiny-chat", "one", "two"], responses.Select(r => r.ModelId));

        Assert.True(_client.Adapters.Remove("two"));
        _two.Dispose();
        Assert.Equal("ChatOptions.ModelId is 'two': this client knows 'tiny-chat', 'one'.",
            (await Assert.ThrowsAsync<NotSupportedException>(() => Ask("two"))).Message);
        _one.Dispose();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => Ask("one"));
        Assert.Equal(plain, (await Ask(null)).Text);
    }

    [Fact]
    public async Task AClientOfItsOwnNameSharesTheQueue()
    {
        using DiffusionGemmaChatClient client = _client.WithAdapter(_one, "math");
        ChatResponse response = await client.GetResponseAsync(Question, With("math"));
        Assert.Equal((Expected(_one), "math"), (response.Text, response.ModelId));
        Assert.Equal("math", client.GetService<ChatClientMetadata>()!.DefaultModelId);
        Assert.Same(_client.GetService<GenerationQueue>(), client.GetService<GenerationQueue>());
        client.Dispose();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => client.GetResponseAsync(Question, Options));
        Assert.Equal(Expected(null), (await _client.GetResponseAsync(Question, Options)).Text);
        Assert.Throws<ArgumentException>(() => _client.WithAdapter(_one, ""));
    }

    [Fact]
    public async Task TheBaseAloneIsOneOfThem()
    {
        string plain = Expected(null);
        _client.Dispose();
        _model.Adapter = _one;
        using DiffusionGemmaChatClient client = _model.AsIChatClient();
        Assert.Equal(Expected(_one), (await client.GetResponseAsync(Question, Options)).Text);
        Assert.Equal(plain, (await client.WithAdapter(LoraAdapter.None, "base").GetResponseAsync(Question, Options)).Text);
    }

    private static ChatOptions With(string? name)
    {
        ChatOptions options = Options.Clone();
        options.ModelId = name;
        return options;
    }

    /// <summary>The answer of a model of one's own with this adapter.</summary>
    private string Expected(LoraAdapter? adapter)
    {
        using var model = DiffusionGemmaModel.Load(_model.Folder, CPU, ScalarType.Float64);
        model.Adapter = adapter;
        ChatTokenizer chat = ChatTokenizer.Load(model.Folder);
        int[] prompt = chat.EncodePrompt(ChatConversation.Of(("user", Question)));
        GenerationResult result = CanvasGenerator.Generate(model, [prompt], new GenerationOptions { Seed = 3, MaxNewTokens = 32 })[0];
        return chat.Tokenizer.Decode(result.Ids, skipSpecialTokens: true);
    }
}
