using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;

namespace DiffusionGemma;

/// <summary>Adapters under names of their own: asked for in one batch with the base, loaded and unloaded while it answers.</summary>
public sealed class AdapterTests
{
    private const string Question = "What is 2 plus 3?";

    [Fact]
    public async Task Adapters_come_answer_beside_the_base_and_go()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        await using TestServer server = await TestServer.StartAsync(options => options.ChangesAdapters = true);
        foreach ((string name, int seed) in new[] { ("one", 1), ("two", 2) })
        {
            using HttpResponseMessage loaded = await ChangeAsync(
                server, "load", new { lora_name = name, lora_path = DrawnAdapterFolder.Write(folder.File(name), seed) });
            Assert.Equal(HttpStatusCode.OK, loaded.StatusCode);
        }
        Assert.Equal([TestServer.Model, "one", "two"], await NamesAsync(server));

        DiffusionGemmaChatClient client = await server.Application.Services.GetRequiredService<DiffusionGemmaService>().GetClientAsync();
        string[] names = [.. Enumerable.Range(0, 12).Select(i => new[] { TestServer.Model, "one", "two" }[i % 3])];
        string[] answers = await Task.WhenAll(names.Select(name => AnswerAsync(server, name)));
        foreach (string name in names.Distinct())
        {
            var options = new ChatOptions { Seed = 3, MaxOutputTokens = 32, ModelId = name };
            string alone = (await client.GetResponseAsync([new(ChatRole.User, Question)], options)).Text;
            Assert.All(names.Zip(answers).Where(pair => pair.First == name), pair => Assert.Equal(alone, pair.Second));
        }

        Assert.True(answers.Distinct().Count() == 3, string.Join(" | ", answers));
        using HttpResponseMessage unloaded = await ChangeAsync(server, "unload", new { lora_name = "one" });
        Assert.Equal(HttpStatusCode.OK, unloaded.StatusCode);
        Assert.Equal([TestServer.Model, "two"], await NamesAsync(server));
        JsonObject gone = TestServer.Ask(Question);
        gone["model"] = "one";
        Assert.Equal((HttpStatusCode.NotFound, "model"), await StatusAsync(server, gone));
        Assert.Equal(answers[2], await AnswerAsync(server, "two"));
    }

    [Fact]
    public async Task What_cannot_be_loaded_is_refused_and_changes_nothing()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        await using TestServer server = await TestServer.StartAsync(options => options.ChangesAdapters = true);
        foreach ((object body, string param) in new (object, string)[]
        {
            (new { lora_name = "one", lora_path = folder.Path }, "lora_path"),
            (new { lora_name = "one" }, "lora_path"),
            (new { lora_name = " ", lora_path = "x" }, "lora_name"),
            (new { lora_name = TestServer.Model, lora_path = DrawnAdapterFolder.Write(folder.File("one"), 1) }, "lora_name"),
            (new { lora_name = "one", lora_path = "x", other = 1 }, "other"),
        })
        {
            using HttpResponseMessage refused = await ChangeAsync(server, "load", body);
            JsonNode error = (await refused.Content.ReadFromJsonAsync<JsonNode>())!["error"]!;
            Assert.Equal((HttpStatusCode.BadRequest, param), (refused.StatusCode, (string?)error["param"]));
        }
        using HttpResponseMessage unknown = await ChangeAsync(server, "unload", new { lora_name = "one" });
        Assert.Equal(HttpStatusCode.NotFound, unknown.StatusCode);
        Assert.Equal([TestServer.Model], await NamesAsync(server));
    }

    [Fact]
    public async Task Without_the_option_clients_change_nothing()
    {
        await using TestServer server = await TestServer.StartAsync();
        using HttpResponseMessage refused = await ChangeAsync(server, "load", new { lora_name = "one", lora_path = "x" });
        Assert.Equal(HttpStatusCode.NotFound, refused.StatusCode);
    }

    private static Task<HttpResponseMessage> ChangeAsync(TestServer server, string verb, object body) =>
        server.Client.PostAsJsonAsync($"v1/{verb}_lora_adapter", body);

    private static async Task<IEnumerable<string?>> NamesAsync(TestServer server) =>
        (await server.Client.GetFromJsonAsync<JsonNode>("v1/models"))!["data"]!.AsArray().Select(model => (string?)model!["id"]);

    private static async Task<(HttpStatusCode Status, string? Param)> StatusAsync(TestServer server, JsonObject body)
    {
        (HttpStatusCode status, _, string? param) = await server.RefusalAsync(body);
        return (status, param);
    }

    private static async Task<string> AnswerAsync(TestServer server, string model)
    {
        JsonObject body = TestServer.Ask(Question);
        body["model"] = model;
        using HttpResponseMessage response = await server.PostAsync(body);
        JsonNode answer = (await response.Content.ReadFromJsonAsync<JsonNode>())!;
        Assert.Equal(model, (string?)answer["model"]);
        return (string)answer["choices"]![0]!["message"]!["content"]!;
    }
}
