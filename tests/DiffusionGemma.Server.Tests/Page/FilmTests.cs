using Microsoft.Playwright;

namespace DiffusionGemma;

/// <summary>
/// The frames of the film in docs/serving.md: the page itself, with every draft of one answer held for a picture. DIFFUSIONGEMMA_FILM names
/// the folder that they are written to.
/// </summary>
public sealed class FilmTests
{
    private const string Variable = "DIFFUSIONGEMMA_FILM";

    [Fact]
    public async Task Frames_are_taken_on_request()
    {
        string? folder = Environment.GetEnvironmentVariable(Variable);
        Assert.SkipWhen(string.IsNullOrEmpty(folder), $"{Variable} names no folder for the frames.");
        Directory.CreateDirectory(folder);
        await using Browser browser = await Browser.StartAsync();
        await using TestServer server = await TestServer.StartAsync();
        IPage page = browser.Page;
        await page.SetViewportSizeAsync(720, 400);
        await page.GotoAsync(server.Address.ToString());
        await page.WaitForFunctionAsync($"() => document.querySelector('#model')?.textContent === '{TestServer.Model}'");
        int frame = 0;
        await page.FillAsync("#question", "What is 8 plus 7?");
        await ShootAsync();
        // A small model is done in a blink: what was shown is kept, and shown again a step at a time.
        await page.EvaluateAsync(
            "() => { window.kept = []; const show = Turn.prototype.showDraft; "
            + "Turn.prototype.showDraft = function (draft) { window.kept.push(draft); window.turn = this; show.call(this, draft); }; }");
        await page.ClickAsync("#options summary");
        await page.FillAsync("#seed", "7");
        await page.FillAsync("#temperature", "1.6");                            // more steps than the schedule needs
        await page.ClickAsync("#options summary");
        await page.PressAsync("#question", "Enter");
        await page.WaitForFunctionAsync("() => document.querySelector('.assistant .figures')?.textContent.includes('tokens/s')");
        await page.EvaluateAsync(
            "() => { window.end = [turn.figures.textContent, turn.text.textContent]; turn.text.textContent = ''; "
            + "turn.figures.before(turn.canvas); turn.steps = 0; }");
        int drafts = await page.EvaluateAsync<int>("() => kept.length");
        for (int i = 0; i < drafts; i++)
        {
            await page.EvaluateAsync("i => turn.showDraft(kept[i])", i);
            await page.WaitForTimeoutAsync(300);                                // opacity changes slowly
            await ShootAsync();
        }
        await page.EvaluateAsync(
            "() => { turn.canvas.remove(); turn.figures.textContent = window.end[0]; turn.text.textContent = window.end[1]; }");
        await ShootAsync();

        Task ShootAsync() => page.ScreenshotAsync(new() { Path = Path.Combine(folder, $"frame-{frame++:00}.png") });
    }
}
