using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Playwright;

namespace DiffusionGemma;

/// <summary>The page in headless Chromium. Nothing may be written to the console: the policy forbids what the page does not need.</summary>
public class BrowserTests
{
    [Fact]
    public async Task A_canvas_settles_and_becomes_the_answer()
    {
        await using Browser browser = await Browser.StartAsync();
        await using TestServer server = await TestServer.StartAsync();
        IPage page = browser.Page;
        await OpenAsync(page, server);
        await page.ClickAsync("#options summary");
        await page.FillAsync("#seed", "3");
        await page.FillAsync("#max-tokens", "32");
        await page.FillAsync("#question", "What is 2 plus 3?");
        // A small model's canvas is there for a blink: the page itself counts what it showed.
        await page.EvaluateAsync(
            "() => { window.shown = { drafts: 0, settled: 0 }; new MutationObserver(() => { "
            + "const canvas = document.querySelector('.canvas'); if (!canvas?.childElementCount) return; window.shown.drafts++; "
            + "window.shown.settled = Math.max(window.shown.settled, canvas.querySelectorAll('.settled').length); "
            + "}).observe(document.querySelector('main'), { childList: true, subtree: true }); }");
        await page.PressAsync("#question", "Enter");
        await WaitForTextAsync(page, ".assistant .figures", "tokens/s");
        DiffusionGemmaChatClient client = await server.Application.Services.GetRequiredService<DiffusionGemmaService>().GetClientAsync();
        ChatResponse expected = await client.GetResponseAsync("What is 2 plus 3?", new ChatOptions { Seed = 3, MaxOutputTokens = 32 });
        Assert.Equal(expected.Text, await page.TextContentAsync(".assistant .text"));
        Assert.True(await page.EvaluateAsync<int>("() => window.shown.drafts") > 0);
        Assert.True(await page.EvaluateAsync<int>("() => window.shown.settled") > 0);
        Assert.Equal(0, await page.Locator(".canvas").CountAsync());
        Assert.Equal("What is 2 plus 3?", await page.TextContentAsync(".user .text"));
        Assert.Empty(browser.Complaints);
    }

    [Fact]
    public async Task A_stopped_answer_frees_its_row()
    {
        await using Browser browser = await Browser.StartAsync();
        await using TestServer server = await TestServer.StartAsync();
        IPage page = browser.Page;
        await OpenAsync(page, server);
        // Escape at the first draft, from within the page: a small model's canvas is finished before another process could press it.
        await page.EvaluateAsync(
            "() => { window.pressed = false; new MutationObserver(() => { "
            + "if (window.pressed || !document.querySelector('.canvas span')) return; "
            + "window.pressed = true; document.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape' })); "
            + "}).observe(document.querySelector('main'), { childList: true, subtree: true }); }");
        await page.FillAsync("#question", "What is 2 plus 3?");
        await page.PressAsync("#question", "Enter");
        await page.WaitForFunctionAsync("() => window.pressed && !document.querySelector('#send').disabled");
        Assert.True(await page.IsDisabledAsync("#stop"));
        GenerationQueue queue = (await server.Application.Services.GetRequiredService<DiffusionGemmaService>().GetClientAsync())
            .GetService<GenerationQueue>()!;
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        while (queue.Status.Running > 0) await Task.Delay(20, limit.Token);
        Assert.Empty(browser.Complaints);
    }

    [Fact]
    public async Task Markup_in_questions_and_answers_stays_text()
    {
        const string Markup = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">";
        await using Browser browser = await Browser.StartAsync();
        await using TestServer server = await TestServer.StartAsync();
        IPage page = browser.Page;
        string chunk = System.Text.Json.JsonSerializer.Serialize(new
        {
            choices = new[] { new { index = 0, delta = new { content = Markup, reasoning_content = Markup }, finish_reason = "stop" } },
        });
        await page.RouteAsync("**/v1/chat/completions", route => route.FulfillAsync(new()
        {
            ContentType = "text/event-stream", Body = $"data: {chunk}\n\ndata: [DONE]\n\n",
        }));
        await OpenAsync(page, server);
        await page.FillAsync("#question", Markup);
        await page.ClickAsync("#send");
        await page.WaitForFunctionAsync("() => document.querySelector('.assistant > .text')?.textContent.length > 0");
        Assert.Equal([Markup, Markup, Markup], (await page.Locator(".turn .text").AllTextContentsAsync()).Order());
        Assert.Equal(0, await page.Locator(".turn script, .turn img").CountAsync());
        Assert.Equal("DiffusionGemma", await page.TitleAsync());
        Assert.Empty(browser.Complaints);
    }

    [Fact]
    public async Task The_page_asks_for_the_key_until_it_is_right()
    {
        const string Key = "a key of the tests, long enough";
        await using Browser browser = await Browser.StartAsync();
        await using TestServer server = await TestServer.StartAsync(options => options.ApiKey = Key);
        IPage page = browser.Page;
        await page.GotoAsync(server.Address.ToString());
        foreach (string key in (string[])["wrong", Key])
        {
            await page.WaitForSelectorAsync("#key-dialog[open]");
            await page.FillAsync("#key", key);
            await page.RunAndWaitForResponseAsync(() => page.PressAsync("#key", "Enter"), response => response.Url.EndsWith("/v1/models"));
        }
        await WaitForModelAsync(page);
        Assert.Equal("", await page.InputValueAsync("#key"));
        Assert.Empty(browser.Complaints);
    }

    [Fact]
    public async Task A_runs_curve_moves_while_it_trains_and_another_is_drawn_over_it()
    {
        const string Line = "#charts figure:first-child path:not(.raw)";
        using TemporaryFolder folder = Fixtures.Temporary();
        RunsTests.WriteHistory(folder.File("first"), 5, evaluations: true);
        RunsTests.WriteHistory(folder.File("second"), 9);
        await using Browser browser = await Browser.StartAsync();
        await using TestServer server = await TestServer.StartAsync(options => options.RunsFolder = folder.Path);
        IPage page = browser.Page;
        await OpenAsync(page, server);
        await page.ClickAsync("#show-runs");
        await page.WaitForSelectorAsync("#run option[value=first]", new() { State = WaitForSelectorState.Attached });
        await page.SelectOptionAsync("#run", "first");
        await WaitForTextAsync(page, "#charts figcaption", "first 3.976 at step 4");
        string? before = await page.GetAttributeAsync(Line, "d");
        RunsTests.WriteHistory(folder.File("first"), 40, evaluations: true);
        await WaitForTextAsync(page, "#charts figcaption", "at step 39");
        Assert.NotEqual(before, await page.GetAttributeAsync(Line, "d"));

        await page.SelectOptionAsync("#other-run", "second");
        await WaitForTextAsync(page, "#charts figcaption", "second");
        Assert.Equal(2, await page.Locator(Line).CountAsync());
        string[] captions = [.. await page.Locator("#charts figure:not([hidden]) figcaption").AllTextContentsAsync()];
        const string Noise = "first after 3 steps, from 2 at little noise to 3 at most";
        Assert.Contains(captions, text => text.Contains(Noise, StringComparison.Ordinal));
        await page.ClickAsync("#runs summary");
        Assert.Contains("Lora.Rank", await page.TextContentAsync("#run-options"), StringComparison.Ordinal);
        Assert.True(await page.Locator("#run-options tr.differs").CountAsync() > 0);
        await page.ClickAsync("#show-chat");
        Assert.True(await page.IsVisibleAsync("#question"));
        Assert.Empty(browser.Complaints);
    }

    [Fact]
    public async Task Answers_at_each_evaluation_are_shown_as_text()
    {
        const string Markup = "<img src=x onerror=\"document.title = 'taken'\">";
        using TemporaryFolder folder = Fixtures.Temporary();
        RunsTests.WriteHistory(folder.File("first"), 5, evaluations: true);
        RunsTests.WriteHistory(folder.File("second"), 9, evaluations: true);
        string Line(int step, string response, bool isMatch) => System.Text.Json.JsonSerializer.Serialize(new
        {
            step, row = 0, prompt = $"<bos><|turn>user\nWhat is {Markup}?<turn|>\n<|turn>model\n", expected = "5", response, isMatch,
        });
        File.WriteAllLines(Path.Combine(folder.File("first"), "answers.jsonl"), [Line(2, "early", false), Line(3, Markup, true)]);
        await using Browser browser = await Browser.StartAsync();
        await using TestServer server = await TestServer.StartAsync(options => options.RunsFolder = folder.Path);
        IPage page = browser.Page;
        await OpenAsync(page, server);
        await page.ClickAsync("#show-runs");
        await page.WaitForSelectorAsync("#run option[value=first]", new() { State = WaitForSelectorState.Attached });
        await page.SelectOptionAsync("#run", "first");
        await page.WaitForSelectorAsync("#answer-tables td");
        Assert.Equal(
            ["3", "2"],
            await page.EvaluateAsync<string[]>("() => [...document.querySelectorAll('#evaluation option')].map(one => one.value)"));
        Assert.Equal("first: 1 of 1 right", await page.TextContentAsync("#answer-tables caption"));
        Assert.Equal([$"What is {Markup}?", "5", Markup, "✓ right"], await page.Locator("#answer-tables td").AllTextContentsAsync());
        Assert.Equal(0, await page.Locator("#answer-tables img").CountAsync());

        await page.SelectOptionAsync("#evaluation", "2");
        await WaitForTextAsync(page, "#answer-tables", "✗ wrong");
        Assert.Contains("early", await page.TextContentAsync("#answer-tables"), StringComparison.Ordinal);
        await page.SelectOptionAsync("#other-run", "second");
        await page.WaitForFunctionAsync("() => document.querySelectorAll('#answer-tables table').length === 2");
        Assert.Equal("second: no answers at this evaluation", await page.TextContentAsync("#answer-tables caption.run2"));
        Assert.NotEqual("taken", await page.TitleAsync());
        Assert.Empty(browser.Complaints);
    }

    [Fact]
    public async Task Two_models_answer_one_question_beside_each_other()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        await using Browser browser = await Browser.StartAsync();
        await using TestServer server = await TestServer.StartAsync();
        DiffusionGemmaChatClient client = await server.Application.Services.GetRequiredService<DiffusionGemmaService>().GetClientAsync();
        using LoraAdapter adapter = LoraAdapter.Load(
            DrawnAdapterFolder.Write(folder.File("one"), 1), client.GetService<GenerationQueue>()!.Model);
        client.Adapters["one"] = adapter;
        IPage page = browser.Page;
        await OpenAsync(page, server);
        await page.ClickAsync("#options summary");
        await page.SelectOptionAsync("#second-model", "one");
        Assert.Equal($"{TestServer.Model} and one", await page.TextContentAsync("#model"));
        await page.FillAsync("#seed", "3");
        await page.FillAsync("#max-tokens", "32");
        await page.FillAsync("#question", "What is 2 plus 3?");
        await page.PressAsync("#question", "Enter");
        await page.WaitForFunctionAsync(
            "() => [...document.querySelectorAll('.answers .figures')].filter(e => e.textContent.includes('tokens/s')).length === 2");
        Assert.Equal([TestServer.Model, "one"], await page.Locator(".answers .name").AllTextContentsAsync());
        var expected = new List<string>();
        foreach (string model in (string[])[TestServer.Model, "one"])
        {
            var options = new ChatOptions { Seed = 3, MaxOutputTokens = 32, ModelId = model };
            expected.Add((await client.GetResponseAsync("What is 2 plus 3?", options)).Text);
        }
        Assert.Equal(expected, await page.Locator(".answers .text").AllTextContentsAsync());
        Assert.Empty(browser.Complaints);
    }

    /// <summary>Waits until the first element of a selector is there and holds a text.</summary>
    private static Task WaitForTextAsync(IPage page, string selector, string text) =>
        page.WaitForFunctionAsync(
            "([selector, text]) => document.querySelector(selector)?.textContent.includes(text)", new[] { selector, text });

    private static async Task OpenAsync(IPage page, TestServer server)
    {
        await page.GotoAsync(server.Address.ToString());
        await WaitForModelAsync(page);
    }

    private static Task WaitForModelAsync(IPage page) =>
        page.WaitForFunctionAsync($"() => document.querySelector('#model')?.textContent === '{TestServer.Model}'");
}
