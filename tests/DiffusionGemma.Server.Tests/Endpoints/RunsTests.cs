using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;

namespace DiffusionGemma;

/// <summary>Runs of a folder: found by name alone, read while they grow.</summary>
public sealed class RunsTests
{
    [Fact]
    public async Task Runs_are_listed_and_read_from_a_step_on()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        WriteHistory(folder.File("first/report"), 3, evaluations: true);
        WriteHistory(folder.File("second"), 2);
        Directory.CreateDirectory(folder.File("no-run"));
        await using TestServer server = await TestServer.StartAsync(options => options.RunsFolder = folder.Path);

        string[] names = [.. (await GetAsync(server, "runs"))["runs"]!.AsArray().Select(name => (string)name!)];
        Assert.Equal(["first", "second"], names.Order(StringComparer.Ordinal));
        JsonNode first = await GetAsync(server, "runs/first");
        Assert.Equal([0, 1, 2], first["steps"]!["Step"]!.AsArray().Select(step => (int)step!));
        Assert.Null(first["steps"]!["Loss"]![1]);                              // NaN in the file
        Assert.Equal([2, 3], first["evaluations"]!["Step"]!.AsArray().Select(step => (int)step!));
        Assert.Equal(8, (int)first["options"]!["Lora.Rank"]!);
        JsonNode rest = await GetAsync(server, "runs/first?known=2");
        Assert.Equal((2, 1), ((int)rest["from"]!, rest["steps"]!["Step"]!.AsArray().Count));
        JsonNode anew = await GetAsync(server, "runs/second?known=50");
        Assert.Equal((0, 2), ((int)anew["from"]!, anew["steps"]!["Step"]!.AsArray().Count));
        Assert.Null(anew["options"]);
    }

    [Fact]
    public async Task A_runs_own_folder_is_one_run()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        WriteHistory(folder.File("report"), 1);
        await using TestServer server = await TestServer.StartAsync(options => options.RunsFolder = folder.Path);
        Assert.Equal(Path.GetFileName(folder.Path), (string?)Assert.Single((await GetAsync(server, "runs"))["runs"]!.AsArray()));
    }

    [Theory]
    [InlineData("../outside")]
    [InlineData("..%2Foutside")]
    [InlineData("%2e%2e%2foutside")]
    [InlineData("first%2F..%2F..%2Foutside")]
    [InlineData("%2Fetc")]
    [InlineData("..%5Coutside")]
    [InlineData("first%00")]
    [InlineData("nothing")]
    public async Task Paths_that_lead_out_of_the_folder_are_no_runs(string name)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        WriteHistory(folder.File("runs/first"), 1);
        WriteHistory(folder.File("outside"), 1);
        await using TestServer server = await TestServer.StartAsync(options => options.RunsFolder = folder.File("runs"));
        // As it is: HttpClient would shorten the path.
        string answer = await RawRequest.SendAsync(
            server.Address.Port, $"GET /runs/{name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        Assert.Matches("^HTTP/1.1 40[04] ", answer);
        Assert.DoesNotContain("\"steps\"", answer, StringComparison.Ordinal);
    }

    /// <summary>A line that is being written, or is damaged, is passed over; so is a folder that goes while it is watched.</summary>
    [Fact]
    public async Task Answers_of_an_evaluation_are_read_line_by_line()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string run = folder.File("first");
        WriteHistory(run, 3, evaluations: true);
        await using TestServer server = await TestServer.StartAsync(options => options.RunsFolder = folder.Path);
        Assert.Empty((await GetAsync(server, "runs/first/answers?step=2"))["answers"]!.AsArray());
        File.WriteAllText(Path.Combine(run, "answers.jsonl"), """
            {"step":2,"row":0,"prompt":"p","expected":"5","response":"<b>4</b>","isMatch":false}
            {"step":2,"row":1
            {"step":2,"row":3,"\ud800":1,"response":"x"}
            {"step":2,"row":4,"response":"\ud800"}
            [2]
            {"step":"2","row":2}
            {"step":2.0,"row":3,"step":2}
            {"row":4}

            {"step":3,"row":0,"response":"6"}
            {"step":2,"row":5,"response":"7"
            """);
        JsonNode answers = await GetAsync(server, "runs/first/answers?step=2");
        Assert.Equal(2, (int)answers["step"]!);
        Assert.Equal("<b>4</b>", (string?)Assert.Single(answers["answers"]!.AsArray())!["response"]);
        Assert.Equal("6", (string?)Assert.Single((await GetAsync(server, "runs/first/answers?step=3"))["answers"]!.AsArray())!["response"]);

        foreach (string wrong in (string[])
            ["runs/first/answers", "runs/first/answers?step=x", "runs/first/answers?step=1e99", "runs/first?known=x"])
        {
            using HttpResponseMessage refused = await server.Client.GetAsync(wrong);
            Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
        }
        Directory.Delete(run, recursive: true);
        foreach (string gone in (string[])["runs/first", "runs/first/answers?step=2"])
        {
            using HttpResponseMessage missing = await server.Client.GetAsync(gone);
            Assert.Equal(HttpStatusCode.NotFound, missing.StatusCode);
        }
    }

    [Fact]
    public async Task Runs_want_the_key_and_are_not_there_without_a_folder()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        WriteHistory(folder.File("first"), 1);
        await using TestServer guarded = await TestServer.StartAsync(options =>
            (options.RunsFolder, options.ApiKey) = (folder.Path, "a key of the tests, long enough"));
        await using TestServer without = await TestServer.StartAsync();
        foreach (string path in (string[])["runs", "runs/first", "runs/first/answers?step=1"])
        {
            using HttpResponseMessage refused = await guarded.Client.GetAsync(path);
            Assert.Equal(HttpStatusCode.Unauthorized, refused.StatusCode);
            using HttpResponseMessage nothing = await without.Client.GetAsync(path);
            Assert.Equal(HttpStatusCode.NotFound, nothing.StatusCode);
        }
    }

    /// <summary>A report as <c>RunReport</c> writes it.</summary>
    internal static void WriteHistory(string folder, int steps, bool evaluations = false)
    {
        Directory.CreateDirectory(folder);
        WriteWhole(Path.Combine(folder, "history.csv"),
        [
            "Step,Epoch,Loss,DiffusionLoss,EncoderLoss,GradientNorm,LearningRate",
            .. Enumerable.Range(0, steps).Select(step =>
                FormattableString.Invariant($"{step},0,{(step == 1 ? "NaN" : $"{4 - step * 0.01}")},3,1,{1 + step % 5},0.001")),
        ]);
        if (!evaluations) return;
        File.WriteAllText(Path.Combine(folder, "options.json"), """{"Lora.Rank": 8, "MaxSteps": 100}""");
        WriteWhole(Path.Combine(folder, "evaluations.csv"),
            ["Step,DiffusionLoss,EncoderLoss,DiffusionLoss0.05,DiffusionLoss0.15", "2,3.5,1,3,4", "3,2.5,1,2,3"]);
    }

    private static void WriteWhole(string path, string[] lines)
    {
        File.WriteAllLines(path + ".part", lines);
        File.Move(path + ".part", path, overwrite: true);
    }

    private static async Task<JsonNode> GetAsync(TestServer server, string path) =>
        (await server.Client.GetFromJsonAsync<JsonNode>(path))!;
}
