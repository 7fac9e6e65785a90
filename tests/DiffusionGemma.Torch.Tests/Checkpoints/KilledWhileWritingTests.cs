using System.Diagnostics;
using System.Globalization;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// A process that replaces an adapter, the weights of a model and a quantised checkpoint again and again is killed at random moments:
/// each folder is then one of the two that were written, whole to the last byte, or it is refused by name; never a mixture.
/// </summary>
public sealed class KilledWhileWritingTests : TorchTest
{
    private const string Folder = "DIFFUSIONGEMMA_KILL_WRITER_FOLDER", KillCount = "DIFFUSIONGEMMA_KILLS";

    /// <summary>Kills of which some must have met the writing of files, and some their replacement.</summary>
    private const int ManyKills = 50;

    private static readonly string[] Kinds = ["adapter", "weights", "quantised"];

    /// <summary>Three kills by default; the variable DIFFUSIONGEMMA_KILLS asks for more.</summary>
    [Fact]
    public async Task Killed_at_random_moments_a_folder_is_one_or_the_other()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        WriteAll(folder.File("0"), version: 0);
        WriteAll(folder.File("1"), version: 1);
        Dictionary<string, string[]> expected = Kinds.ToDictionary(
            kind => kind, kind => (string[])[Digests(folder.File(Path.Combine("0", kind))), Digests(folder.File(Path.Combine("1", kind)))]);
        Assert.All(expected.Values, both => Assert.NotEqual(both[0], both[1]));

        int kills = int.Parse(Environment.GetEnvironmentVariable(KillCount) ?? "3", CultureInfo.InvariantCulture);
        int refused = 0, writing = 0, replacing = 0;
        var random = new Random(1);
        for (int kill = 0; kill < kills; kill++)
        {
            string target = folder.File("target"), ready = folder.File("ready");
            if (kill % 2 == 0) WriteAll(target, version: 0);                             // every other time onto what a kill left
            File.Delete(ready);
            var start = new ProcessStartInfo(
                Environment.ProcessPath!, ["-explicit", "only", "-method", $"*{nameof(Child_that_writes_on_and_on)}"])
            {
                RedirectStandardOutput = true, RedirectStandardError = true, Environment = { [Folder] = folder.Path },
            };
            using Process process = Process.Start(start)!;
            Task<string> output = process.StandardOutput.ReadToEndAsync();
            _ = process.StandardError.ReadToEndAsync();
            while (!File.Exists(ready) && !process.HasExited) await Task.Delay(5);
            Assert.False(process.HasExited, process.HasExited ? await output : "");
            if (kill % 3 == 2) WaitForReplacement(target, process);
            else await Task.Delay(random.Next(150));
            process.Kill();
            await process.WaitForExitAsync();
            foreach (string kind in Kinds)
            {
                string path = Path.Combine(target, kind);
                string[] left = [.. Directory.EnumerateDirectories(path, ".saving-*")];
                if (left.Any(IsReplacing)) replacing++;
                else writing += left.Length;
                if (Record.Exception(() => Open(kind, path)) is { } error)
                {
                    Assert.True(error is AdapterException or CheckpointException or InvalidConfigurationException, $"{kind}: {error}");
                    Assert.Contains(path, error.Message, StringComparison.Ordinal);
                    refused++;
                }
                else
                {
                    Assert.Contains(Digests(path), expected[kind]);
                }
                foreach (string hidden in left) Directory.Delete(hidden, recursive: true);
            }
        }
        string result = $"{kills} kills: {writing} folders were being written and {replacing} replaced, of which {refused} are refused";
        TestContext.Current.TestOutputHelper?.WriteLine(result);
        if (Environment.GetEnvironmentVariable(KillCount) is not null) Console.WriteLine(result);
        if (kills >= ManyKills) Assert.True(writing > 0 && replacing > 0, result);
        // What a kill left is in nobody's way.
        WriteAll(folder.File("target"), version: 1);
        foreach (string kind in Kinds) Open(kind, folder.File(Path.Combine("target", kind)));
    }

    /// <summary>Runs in the child only: an explicit test is in no ordinary run.</summary>
    [Fact(Explicit = true)]
    public void Child_that_writes_on_and_on()
    {
        string folder = Environment.GetEnvironmentVariable(Folder)
            ?? throw new InvalidOperationException($"{nameof(Killed_at_random_moments_a_folder_is_one_or_the_other)} starts this test.");
        for (int version = 1; ; version = 1 - version)
            WriteAll(Path.Combine(folder, "target"), version, () => File.WriteAllText(Path.Combine(folder, "ready"), ""));
    }

    private static void WriteAll(string folder, int version, Action? begin = null)
    {
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"));
        using LoraAdapter adapter = LoraAdapter.Create(model, new LoraOptions { Rank = 2 + version }, seed: 1);
        if (version > 0)
        {
            using (no_grad()) model.Stack.Parameters["model.decoder.norm.weight"].add_(0.5);
            model.Changed.Add("model.decoder.norm.weight");
        }
        begin?.Invoke();
        adapter.Save(Path.Combine(folder, Kinds[0]), "the base");
        model.Save(Path.Combine(folder, Kinds[1]));
        QuantizedCheckpoint.Create(
            Fixtures.Checkpoint("tiny-chat"), Path.Combine(folder, Kinds[2]), version > 0 ? Quantization.Int4 : Quantization.Int8);
    }

    /// <summary>Waits until files of a folder leave it for new ones; a minute at most.</summary>
    private static void WaitForReplacement(string target, Process process)
    {
        var clock = Stopwatch.StartNew();
        while (!process.HasExited && clock.Elapsed < TimeSpan.FromMinutes(1))
            foreach (string kind in Kinds)
                if (Directory.EnumerateDirectories(Path.Combine(target, kind), ".saving-*").Any(IsReplacing)) return;
    }

    /// <summary>True where a writer's hidden folder holds files that it has replaced.</summary>
    private static bool IsReplacing(string hidden)
    {
        try
        {
            return Directory.EnumerateFiles(Path.Combine(hidden, "old")).Any();
        }
        catch (DirectoryNotFoundException)
        {
            return false;
        }
    }

    private static void Open(string kind, string path)
    {
        if (kind == Kinds[0])
        {
            using DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"));
            LoraAdapter.Load(path, model).Dispose();
        }
        else
        {
            DiffusionGemmaModel.Load(path, verify: true).Dispose();
        }
    }

    /// <summary>Names and digests of all files of a folder.</summary>
    private static string Digests(string folder) =>
        string.Join('\n', Directory.EnumerateFiles(folder).Order(StringComparer.Ordinal)
            .Select(file => $"{Path.GetFileName(file)} {Checksums.Digest(file)}"));
}
