using System.Text.RegularExpressions;

namespace DiffusionGemma;

/// <summary>The page as it is served: nothing inline, nothing from other hosts.</summary>
public partial class PageTests
{
    [Fact]
    public async Task The_page_has_no_inline_code_and_a_policy_against_it()
    {
        await using TestServer server = await TestServer.StartAsync();
        using HttpResponseMessage response = await server.Client.GetAsync("");
        string policy = response.Headers.GetValues("Content-Security-Policy").Single();
        Assert.Contains("default-src 'none'", policy, StringComparison.Ordinal);
        Assert.DoesNotContain("unsafe", policy, StringComparison.Ordinal);
        Assert.False(response.Headers.Contains("Set-Cookie"));
        string page = await response.Content.ReadAsStringAsync();
        Assert.DoesNotContain("style=", page, StringComparison.Ordinal);
        Assert.Empty(InlineHandler().Matches(page));
        Assert.All(Script().Matches(page), match => Assert.Equal("></script>", match.Groups["body"].Value[^10..]));
        foreach (string file in (string[])["page.js", "chart.js", "runs.js", "page.css"])
        {
            using HttpResponseMessage served = await server.Client.GetAsync(file);
            string text = await served.Content.ReadAsStringAsync();
            Assert.DoesNotContain("http://", text, StringComparison.Ordinal);
            Assert.DoesNotContain("https://", text, StringComparison.Ordinal);
            Assert.DoesNotContain("innerHTML", text, StringComparison.Ordinal);
            Assert.Equal("nosniff", served.Headers.GetValues("X-Content-Type-Options").Single());
        }
    }

    [GeneratedRegex(@"\son\w+=")]
    private static partial Regex InlineHandler();

    [GeneratedRegex("<script(?<body>.*?</script>)")]
    private static partial Regex Script();
}
