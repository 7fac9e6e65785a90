using System.Text.Json;
using DiffusionGemma.FineTuning;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Persistence;

/// <summary>Checkpoints by their ids and data by addresses on the Hub, from a server on the loopback.</summary>
[Collection(Alone.Name)]
public sealed class HubDownloadsTests : IAsyncLifetime
{
    private const string Id = "org/tiny-chat";

    private readonly TemporaryFolder _home = Fixtures.Temporary("hub");
    private LoopbackHub _hub = null!;

    private string Cache => _home.File("hub");

    public async ValueTask InitializeAsync()
    {
        _hub = await LoopbackHub.StartAsync();
        var model = new ServedRepository { Id = Id };
        foreach (string file in Directory.EnumerateFiles(TinyChat.Checkpoint))
            model.Files.Add(Path.GetFileName(file), File.ReadAllBytes(file));
        model.Large.UnionWith(["model.safetensors", "tokenizer.json"]);
        _hub.Models.Add(model);
        var data = new ServedRepository { Id = "org/sums" };
        data.Add("train-00000-of-00002.jsonl", """{"messages":[{"role":"user","content":"First"}]}""");
        data.Add("train-00001-of-00002.jsonl", """{"messages":[{"role":"user","content":"Second"}]}""");
        string arithmetic = Path.Combine(Fixtures.Root, "datasets", "arithmetic", "test.parquet");
        data.Files.Add("main/test.parquet", File.ReadAllBytes(arithmetic));
        data.Large.Add("main/test.parquet");
        _hub.Datasets.Add(data);
        DiffusionGemmaCheckpoints.Hub = _hub.Options(_home);
    }

    public async ValueTask DisposeAsync()
    {
        DiffusionGemmaCheckpoints.Hub = null;
        DiffusionGemmaCheckpoints.DownloadsOnLoad = false;
        await _hub.DisposeAsync();
        _home.Dispose();
    }

    [Fact]
    public void EveryPartOfThePipelineTakesAnId()
    {
        var ml = new MLContext(seed: 7);
        var log = new List<string>();
        ml.Log += (_, line) => log.Add(line.Message);
        DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
        IDataView data = TinyChat.Questions(ml, 2);
        IDataView byId = Answers(Id), byFolder = Answers(TinyChat.Checkpoint);
        Assert.Equal(Views.Dump(byFolder), Views.Dump(byId));
        string hello = TinyChat.Row("Hello");
        Assert.Equal(gemma.Preview(TinyChat.Checkpoint, hello).ToString(), gemma.Preview(Id, hello).ToString());
        Assert.Equal(gemma.Summarize(TinyChat.Checkpoint, data).ToString(), gemma.Summarize(Id, data).ToString());
        var options = new ChatDataOptions { Checkpoint = Id };
        Assert.Single(ml.Data.LoadChatFromJsonLines(options, "hf://datasets/org/sums/train-00000*").GetColumn<string>("Messages"));
        Assert.Equal(_hub.Models[0].Files.Count, _hub.Gets.Count(request => !request.Path.Contains("org/sums")));
        Assert.Contains(log, line => line.Contains("6 of 6 files"));

        IDataView Answers(string checkpoint) => gemma.TokenizeChat(checkpoint).Append(gemma.MaskResponse())
            .Append(gemma.PackCanvas(checkpoint)).Append(gemma.Answer(checkpoint, TinyChat.Quick)).Fit(data).Transform(data);
    }

    [Fact]
    public void ASavedModelKeepsIdAndCommitAndFindsThemInTheCacheOrDownloadsThemWhereThatIsAllowed()
    {
        var ml = new MLContext(seed: 7);
        DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
        IDataView data = TinyChat.Questions(ml, 4);
        string zip = _home.File("model.zip"), adapter = _home.File("adapter");
        string[] answers;
        using (TransformerChain<DiffusionGemmaTransformer> model = gemma.TokenizeChat(Id).Append(gemma.MaskResponse())
            .Append(gemma.PackCanvas(Id)).Append(gemma.FineTune(Id, TinyChat.Lora, TinyChat.Quick)).Fit(data))
        {
            DiffusionGemmaTransformer trained = gemma.AnsweringPart(model);
            Assert.Equal($"{Id}@{ServedRepository.FirstCommit}", trained.Checkpoint.Path);
            Assert.Equal(("tiny-chat", Id), (trained.Checkpoint.Name, trained.Checkpoint.HubId!.Repository));
            answers = Views.Dump(model.Transform(data), "Response");
            ml.Model.Save(model, data.Schema, zip);
            trained.SaveAdapter(adapter);
        }
        using JsonDocument config = JsonDocument.Parse(File.ReadAllText(Path.Combine(adapter, "adapter_config.json")));
        Assert.Equal(Id, config.RootElement.GetProperty("base_model_name_or_path").GetString());
        Assert.Equal(ServedRepository.FirstCommit, config.RootElement.GetProperty("revision").GetString());
        Assert.DoesNotContain(_home.Path, System.Text.Encoding.Latin1.GetString(Unzipped(zip)));

        _hub.Requests.Clear();
        Assert.Equal(answers, Load());

        Directory.Move(Cache, _home.File("moved"));
        Exception error = Assert.ThrowsAny<Exception>(Load).GetBaseException();
        Assert.IsType<FileNotFoundException>(error);
        Assert.Contains($"{Id}@{ServedRepository.FirstCommit} (the Hub's cache): is not there", error.Message);
        Assert.Contains("DownloadsOnLoad", error.Message);
        Assert.Empty(_hub.Requests);

        DiffusionGemmaCheckpoints.Resolver = _ => TinyChat.Checkpoint;
        try
        {
            DiffusionGemmaCheckpoints.DownloadsOnLoad = true;
            Assert.Equal(answers, Load());
            Assert.Empty(_hub.Requests);                             // a folder that is known is no reason for a download
        }
        finally
        {
            DiffusionGemmaCheckpoints.Resolver = null;
        }
        Assert.Equal(answers, Load());
        Assert.NotEmpty(_hub.Gets);

        string[] Load()
        {
            ITransformer loaded = ml.Model.Load(zip, out _);
            try
            {
                return Views.Dump(loaded.Transform(data), "Response");
            }
            finally
            {
                (loaded as IDisposable)?.Dispose();
            }
        }
    }

    [Fact]
    public void LoadersTakeAddressesOfDataFiles()
    {
        var ml = new MLContext();
        IDataView lines = ml.Data.LoadChatFromJsonLines("hf://datasets/org/sums/train-*.jsonl");
        Assert.Equal(["First", "Second"], lines.GetColumn<string>("Messages").Select(row => row.Contains("First") ? "First" : "Second"));
        string local = Path.Combine(Fixtures.Root, "datasets", "arithmetic", "test.parquet");
        Assert.Equal(
            ml.Data.LoadChatFromParquet(local, "question", "answer").GetColumn<string>("Messages"),
            ml.Data.LoadChatFromParquet("hf://datasets/org/sums/main", "question", "answer").GetColumn<string>("Messages"));

        HubException missing = Assert.Throws<HubException>(() => ml.Data.LoadChatFromJsonLines("hf://datasets/org/sums/trian-*.jsonl"));
        Assert.Equal(HubError.FileNotFound, missing.Error);
        Assert.Throws<ArgumentException>(() => ml.Data.LoadChatFromJsonLines("hf://datasets/org"));
    }

    [Fact]
    public void AnUnknownIdNamesBothReadings()
    {
        HubException error = Assert.Throws<HubException>(() => new MLContext().Transforms.DiffusionGemma.TokenizeChat("org/tiny-cat"));
        Assert.Equal(HubError.RepositoryNotFound, error.Error);
        Assert.Contains(Path.GetFullPath("org/tiny-cat"), error.Message);
    }

    private static byte[] Unzipped(string path)
    {
        using System.IO.Compression.ZipArchive zip = System.IO.Compression.ZipFile.OpenRead(path);
        using var all = new MemoryStream();
        foreach (System.IO.Compression.ZipArchiveEntry entry in zip.Entries)
        {
            using Stream stream = entry.Open();
            stream.CopyTo(all);
        }
        return all.ToArray();
    }
}
