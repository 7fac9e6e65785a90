using System.Collections.Concurrent;
using Microsoft.Playwright;

namespace DiffusionGemma;

/// <summary>Headless Chromium with one page; what the page writes to its console is kept.</summary>
internal sealed class Browser : IAsyncDisposable
{
    /// <summary>The variable that names Chromium where it is in none of the usual places.</summary>
    public const string Variable = "DIFFUSIONGEMMA_CHROMIUM";

    private readonly IPlaywright _playwright;
    private readonly IBrowser _browser;

    private Browser(IPlaywright playwright, IBrowser browser, IPage page)
    {
        (_playwright, _browser, Page) = (playwright, browser, page);
        Page.Console += (_, message) =>
        {
            // Chromium reports every answer of 4xx and 5xx, such as /health while the model is loaded: that is no fault of the page.
            bool isStatus = message.Text.StartsWith("Failed to load resource: the server responded with", StringComparison.Ordinal);
            if (message.Type is "error" or "warning" && !isStatus) Complaints.Enqueue(message.Text);
        };
        Page.PageError += (_, error) => Complaints.Enqueue(error);
    }

    public IPage Page { get; }

    /// <summary>Errors of scripts and of the content security policy.</summary>
    public ConcurrentQueue<string> Complaints { get; } = [];

    /// <summary>Starts the browser, or skips the test where there is none.</summary>
    public static async Task<Browser> StartAsync()
    {
        string? program = Environment.GetEnvironmentVariable(Variable) ?? new[]
        {
            "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome",
        }.FirstOrDefault(File.Exists);
        Assert.SkipWhen(program is null, $"There is no Chromium: install it (Debian: chromium), or name it in {Variable}.");
        IPlaywright playwright = await Playwright.CreateAsync();
        IBrowser browser = await playwright.Chromium.LaunchAsync(new BrowserTypeLaunchOptions
        {
            ExecutablePath = program, Args = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"], Timeout = 120_000,
        });
        IPage page = await browser.NewPageAsync();
        page.SetDefaultTimeout(120_000);
        return new Browser(playwright, browser, page);
    }

    public async ValueTask DisposeAsync()
    {
        await _browser.DisposeAsync();
        _playwright.Dispose();
    }
}
