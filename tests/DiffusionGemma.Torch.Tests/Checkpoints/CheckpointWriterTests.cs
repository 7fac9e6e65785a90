using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace DiffusionGemma;

public class CheckpointWriterTests
{
    private const string Norm = "model.decoder.norm.weight";
    private const string GateUp = "model.decoder.layers.0.experts.gate_up_proj";

    public static TheoryData<string> Checkpoints => ["tiny-2layer", "tiny-6layer", "tiny-nemo", "tiny-bf16-sharded", "tiny-chat"];

    [Theory]
    [MemberData(nameof(Checkpoints))]
    public void What_was_not_trained_is_saved_file_by_file_and_byte_for_byte(string name)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        using Checkpoint source = Checkpoint.Open(Fixtures.Checkpoint(name));
        CheckpointWriter.Save(source, folder.File("out"), new Dictionary<string, Tensor>());

        Assert.Equal(Names(source.Folder), Names(folder.File("out")));
        foreach (string file in Names(source.Folder))
            Assert.Equal(File.ReadAllBytes(Path.Combine(source.Folder, file)), File.ReadAllBytes(Path.Combine(folder.File("out"), file)));
        Assert.Empty(Directory.GetDirectories(folder.File("out")));
    }

    [Theory]
    [InlineData("tiny-2layer", null)]
    [InlineData("tiny-2layer", 100_000L)]
    [InlineData("tiny-bf16-sharded", null)]
    [InlineData("tiny-bf16-sharded", 100_000L)]
    [InlineData("tiny-bf16-sharded", long.MaxValue)]
    public void Trained_tensors_are_new_in_the_stored_dtype_and_all_others_the_same_bytes(string name, long? maxShardBytes)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        using var scope = NewDisposeScope();
        using Checkpoint source = Checkpoint.Open(Fixtures.Checkpoint(name));
        Tensor gateUp = source.Read(GateUp, dtype: ScalarType.Float64).mul(1.001).transpose(1, 2).contiguous().transpose(1, 2);
        Tensor norm = source.Read(Norm, dtype: ScalarType.Float32).add(0.5).requires_grad_();
        CheckpointWriter.Save(source, folder.File("out"), new Dictionary<string, Tensor> { [GateUp] = gateUp, [Norm] = norm },
            maxShardBytes);

        using Checkpoint saved = Checkpoint.Open(folder.File("out"));
        Assert.Equal("pt", saved.Weights.Metadata["format"]);
        Assert.Equal(source.Weights.Tensors.Count, saved.Weights.Tensors.Count);
        foreach (TensorInfo was in source.Weights.Tensors.Values)
        {
            TensorInfo now = saved.Weights.Tensors[was.Name];
            Assert.Equal((was.DType, was.ToString()), (now.DType, now.ToString()));
            if (was.Name is not (Norm or GateUp)) Assert.Equal(RawSafetensors.Bytes(was), RawSafetensors.Bytes(now));
        }
        ScalarType stored = source.Weights.Tensors[GateUp].DType;
        Assert.True(saved.Read(GateUp).eq(gateUp.to(stored)).all().item<bool>());
        Assert.True(saved.Read(Norm).eq(norm.to(stored)).all().item<bool>());

        string[] weights = [.. saved.Weights.Tensors.Values.Select(tensor => tensor.File).Distinct()];
        if (maxShardBytes == 100_000)
        {
            Assert.All(weights, path => Assert.True(saved.Weights.Tensors.Values.Count(tensor => tensor.File == path) == 1
                || saved.Weights.Tensors.Values.Where(tensor => tensor.File == path).Sum(tensor => tensor.Length) <= 100_000));
            Assert.Matches(@"model-00001-of-\d{5}\.safetensors$", weights.Order().First());
            JsonNode index = JsonNode.Parse(File.ReadAllText(Path.Combine(folder.File("out"), "model.safetensors.index.json")))!;
            Assert.Equal(source.Weights.Tensors.Values.Sum(tensor => tensor.Length), (long)index["metadata"]!["total_size"]!);
        }
        else
        {
            Assert.Equal(maxShardBytes is null ? source.Weights.Files.Count() : 1, weights.Length);
        }
    }

    [Fact]
    public void Tied_copies_follow_what_they_are_tied_to()
    {
        using TemporaryFolder from = CheckpointCopies.With("tiny-2layer", CheckpointTests.AddTiedCopies);
        using TemporaryFolder to = Fixtures.Temporary();
        using var scope = NewDisposeScope();
        using Checkpoint source = Checkpoint.Open(from.Path);
        const string embedding = "model.decoder.embed_tokens.weight";
        Tensor trained = source.Read(embedding) + 1;
        CheckpointWriter.Save(source, to.Path, new Dictionary<string, Tensor> { [embedding] = trained });

        using Checkpoint saved = Checkpoint.Open(to.Path);                    // would refuse copies that differ
        foreach (string name in (string[])[embedding, "lm_head.weight", "model.encoder.language_model.embed_tokens.weight"])
            Assert.True(saved.Read(name).eq(trained).all().item<bool>(), name);
    }

    [Fact]
    public void A_saved_folder_is_replaced_and_foreign_files_stay()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        using Checkpoint sharded = Checkpoint.Open(Fixtures.Checkpoint("tiny-bf16-sharded"));
        using Checkpoint single = Checkpoint.Open(Fixtures.Checkpoint("tiny-2layer"));
        var nothing = new Dictionary<string, Tensor>();
        File.WriteAllText(folder.File("notes.txt"), "mine");
        File.WriteAllText(folder.File("adapter_model.safetensors"), "mine too");

        CheckpointWriter.Save(sharded, folder.Path, nothing);
        CheckpointWriter.Save(single, folder.Path, nothing);
        Assert.Equal(["adapter_model.safetensors", "config.json", "generation_config.json", "model.safetensors", "notes.txt"],
            Names(folder.Path));
        Checkpoint.Open(folder.Path).Dispose();

        CheckpointWriter.Save(sharded, folder.Path, nothing);
        Assert.DoesNotContain("model.safetensors", Names(folder.Path));
        Checkpoint.Open(folder.Path).Dispose();
        Assert.Equal("mine", File.ReadAllText(folder.File("notes.txt")));
        Assert.Empty(Directory.GetDirectories(folder.Path));
    }

    [Fact]
    public void A_save_that_fails_leaves_what_was_there()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        using var scope = NewDisposeScope();
        using Checkpoint sharded = Checkpoint.Open(Fixtures.Checkpoint("tiny-bf16-sharded"));
        using Checkpoint single = Checkpoint.Open(Fixtures.Checkpoint("tiny-2layer"));
        string output = folder.File("out");
        CheckpointWriter.Save(sharded, output, new Dictionary<string, Tensor>());
        Dictionary<string, byte[]> before = Contents(output);

        // A folder stands where the last of the new files is to go: everything has been written, and some of it moved.
        Directory.CreateDirectory(Path.Combine(output, "model.safetensors"));
        CheckpointException error =
            Assert.Throws<CheckpointException>(() => CheckpointWriter.Save(single, output, new Dictionary<string, Tensor>()));
        Assert.Contains(output, error.Message);
        Directory.Delete(Path.Combine(output, "model.safetensors"));

        Assert.Equal(before, Contents(output));
        Assert.Empty(Directory.GetDirectories(output));
    }

    [Fact]
    public void A_folder_that_cannot_be_written_is_a_typed_error()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        using Checkpoint source = Checkpoint.Open(Fixtures.Checkpoint("tiny-2layer"));
        File.WriteAllText(folder.File("file"), "");
        Assert.Throws<CheckpointException>(() => CheckpointWriter.Save(source, folder.File("file"), new Dictionary<string, Tensor>()));
        Assert.Throws<CheckpointException>(
            () => CheckpointWriter.Save(source, Path.Combine(folder.File("file"), "below"), new Dictionary<string, Tensor>()));
        Assert.Equal(["file"], Names(folder.Path));
    }

    [Fact]
    public void A_folder_that_was_made_for_a_save_that_failed_is_gone()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        using Checkpoint source = Checkpoint.Open(Fixtures.Checkpoint("tiny-2layer"));
        var failing = new FailingDictionary(Norm);
        Assert.Throws<InvalidOperationException>(() => CheckpointWriter.Save(source, folder.File("out"), failing));
        Assert.Empty(Directory.GetFileSystemEntries(folder.Path));
    }

    [Fact]
    public void The_source_folder_is_never_saved_over()
    {
        using TemporaryFolder folder = CheckpointCopies.Of("tiny-2layer");
        using Checkpoint source = Checkpoint.Open(folder.Path);
        Dictionary<string, byte[]> before = Contents(folder.Path);
        string[] aliases = [folder.Path, folder.Path + Path.DirectorySeparatorChar, Path.Combine(folder.Path, ".", "x", "..")];
        foreach (string alias in aliases)
            Assert.Contains("loaded from",
                Assert.Throws<ArgumentException>(() => CheckpointWriter.Save(source, alias, new Dictionary<string, Tensor>())).Message);
        using TemporaryFolder other = Fixtures.Temporary();
        Directory.CreateSymbolicLink(other.File("link"), folder.Path);
        Assert.Throws<ArgumentException>(() => CheckpointWriter.Save(source, other.File("link"), new Dictionary<string, Tensor>()));
        Assert.Equal(before, Contents(folder.Path));
    }

    [Fact]
    public void Trained_tensors_that_do_not_fit_are_refused_before_anything_is_written()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        using var scope = NewDisposeScope();
        using Checkpoint source = Checkpoint.Open(Fixtures.Checkpoint("tiny-2layer"));
        void Refused(string name, Tensor tensor) => Assert.Contains(name, Assert.Throws<ArgumentException>(
            () => CheckpointWriter.Save(source, folder.File("out"), new Dictionary<string, Tensor> { [name] = tensor })).Message);

        Refused("no.such", ones(64));
        Refused("model.encoder.embed_vision.embedding_projection.weight", ones(64, 32));
        Refused(Norm, ones(63));
        Refused(Norm, ones(64, ScalarType.Int64));
        Assert.Throws<ArgumentOutOfRangeException>(
            () => CheckpointWriter.Save(source, folder.File("out"), new Dictionary<string, Tensor>(), maxShardBytes: 0));
        Assert.False(Directory.Exists(folder.File("out")));
    }

    [Fact]
    public void Small_files_go_along_and_other_weights_do_not()
    {
        using TemporaryFolder from = CheckpointCopies.Of("tiny-chat");
        string[] others =
            ["README.md", "processor_config.json", "pytorch_model.bin", "old.safetensors", "adapter_config.json", ".gitattributes"];
        foreach (string name in others)
            File.WriteAllText(from.File(name), "{}");
        using TemporaryFolder to = Fixtures.Temporary();
        using Checkpoint source = Checkpoint.Open(from.Path);
        CheckpointWriter.Save(source, to.Path, new Dictionary<string, Tensor>());
        Assert.Equal(
            ["README.md", "chat_template.jinja", "config.json", "generation_config.json", "model.safetensors", "processor_config.json",
                "tokenizer.json", "tokenizer_config.json"],
            Names(to.Path));
    }

    /// <summary>The files of a folder but for their digests, which sources do not have.</summary>
    private static string[] Names(string folder) =>
    [
        .. Directory.GetFiles(folder).Select(path => Path.GetFileName(path)).Where(name => name != Checksums.FileName)
            .Order(StringComparer.Ordinal),
    ];

    private static Dictionary<string, byte[]> Contents(string folder) =>
        Names(folder).ToDictionary(name => name, name => File.ReadAllBytes(Path.Combine(folder, name)));

    /// <summary>A dictionary that looks empty and throws when a tensor is looked up: an error in the middle of writing.</summary>
    private sealed class FailingDictionary(string at) : IReadOnlyDictionary<string, Tensor>
    {
        public int Count => 0;

        public IEnumerable<string> Keys => [];

        public IEnumerable<Tensor> Values => [];

        public Tensor this[string key] => throw new KeyNotFoundException();

        public bool ContainsKey(string key) => false;

        public bool TryGetValue(string key, out Tensor value)
        {
            value = null!;
            return key == at ? throw new InvalidOperationException("in the midst") : false;
        }

        public IEnumerator<KeyValuePair<string, Tensor>> GetEnumerator() =>
            Enumerable.Empty<KeyValuePair<string, Tensor>>().GetEnumerator();

        System.Collections.IEnumerator System.Collections.IEnumerable.GetEnumerator() => GetEnumerator();
    }
}
