using System.Buffers.Binary;
using System.Text;
using TorchSharp;

namespace DiffusionGemma;

/// <summary>Whatever bytes the files of a checkpoint's or an adapter's folder hold, they are read, or refused by name.</summary>
public sealed class CheckpointFuzzTests : TorchTest
{
    private static readonly string[] HeaderPieces =
    [
        "{", "}", "[", "]", "\"", ",", ":", "0", "-1", "9223372036854775807", "18446744073709551616", "1e30",
        "[]", "[0,0]", "[4611686018427387904,2]",
        "\"F32\"", "\"F64\"", "\"BOOL\"", "\"F8_E4M3\"", "\"I32\"", "\"__metadata__\"",
        "\"a\"", "\"\\u0000\"", "null", "\"shape\":", "\"data_offsets\":",
    ];

    [Fact]
    public void Broken_headers_and_bodies_fail_only_with_the_typed_error()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string path = folder.File("fuzz.safetensors");
        SafetensorsFile.Write(path, new Dictionary<string, torch.Tensor>
        {
            ["a"] = torch.arange(12).reshape(3, 4).to(torch.ScalarType.Float32), ["b"] = torch.zeros(0, 5), ["c"] = torch.ones(2, 2, 2),
            ["d"] = torch.tensor(true), ["e"] = torch.arange(3).to(torch.ScalarType.BFloat16),
            ["f"] = torch.arange(9).to(torch.ScalarType.Int8),
        }, new Dictionary<string, string> { ["format"] = "pt" });
        byte[] original = File.ReadAllBytes(path);
        string header = HeaderOf(original);
        new MutationFuzzer
        {
            Name = "safetensors", Folder = folder.Path,
            Make = random => random.Next(2) == 0
                ? Mutations.OfBytes(random, original) : WithHeader(original, Mutations.OfText(random, header, HeaderPieces)),
            Read = bytes => Refused<CheckpointException>(path, bytes, () =>
            {
                using SafetensorsFile file = SafetensorsFile.Open(path);
                foreach (string name in file.Tensors.Keys) file.Read(name).Dispose();
            }),
        }.Run();
    }

    [Fact]
    public void A_broken_index_fails_only_with_the_typed_error()
    {
        using TemporaryFolder folder = Copy(Fixtures.Checkpoint("tiny-bf16-sharded"));
        string path = folder.File(SafetensorsIndex.FileName), original = File.ReadAllText(path);
        new MutationFuzzer
        {
            Name = "index", Folder = folder.Path, Mutations = 2_000,                             // each opens the eight files
            Make = random => Mutations.OfJsonText(random, original),
            Read = bytes => Refused<CheckpointException>(path, bytes, () => SafetensorsFile.Open(folder.Path).Dispose(), folder.Path),
        }.Run();
    }

    [Fact]
    public void A_broken_config_fails_only_with_the_typed_error()
    {
        using TemporaryFolder folder = Copy(Fixtures.Path("quantized", "int4"));
        string path = folder.File("config.json");
        string[] originals =
        [
            File.ReadAllText(path),
            .. new[] { "nvfp4", "modelopt-nvfp4", "mxfp4" }
                .Select(form => File.ReadAllText(Fixtures.Path("quantized", form, "config.json"))),
            File.ReadAllText(Path.Combine(Fixtures.Checkpoint("tiny-6layer"), "config.json")),
        ];
        new MutationFuzzer
        {
            Name = "config", Folder = folder.Path, Mutations = 5_000,                            // most go on to the weights
            Make = random => Mutations.OfJsonText(random, originals[random.Next(originals.Length)]),
            Read = bytes => Refused<InvalidConfigurationException, CheckpointException>(
                path, bytes, () => Checkpoint.Open(folder.Path).Dispose(), folder.Path),
        }.Run();
    }

    [Fact]
    public void A_broken_generation_config_fails_only_with_the_typed_error()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string path = folder.File("generation_config.json");
        string original = File.ReadAllText(Path.Combine(Fixtures.Checkpoint("tiny-2layer"), "generation_config.json"));
        File.WriteAllText(path, original);
        DiffusionGemmaConfig config = DiffusionGemmaConfig.Load(Fixtures.Checkpoint("tiny-2layer"));
        new MutationFuzzer
        {
            Name = "generation_config", Folder = folder.Path,
            Make = random => Mutations.OfJsonText(random, original),
            Read = bytes => Refused<InvalidDataException>(path, bytes, () =>
            {
                try
                {
                    _ = ResolvedGenerationOptions.Resolve(null, folder.Path, config);
                }
                catch (ArgumentException e)
                {
                    Assert.NotEmpty(e.Message);                                                  // a value out of range, as in options
                }
            }),
        }.Run();
    }

    [Fact]
    public void A_broken_quantised_folder_fails_only_with_the_typed_error()
    {
        string[] forms = ["int4", "int8", "fp8", "nvfp4", "mxfp4", "modelopt-nvfp4", "int4-fused"];
        List<TemporaryFolder> folders = [.. forms.Select(form => Copy(Fixtures.Path("quantized", form)))];
        try
        {
            (byte[] Bytes, string Header)[] originals =
            [
                .. folders.Select(folder => File.ReadAllBytes(folder.File("model.safetensors"))).Select(bytes => (bytes, HeaderOf(bytes))),
            ];
            int form = 0;
            new MutationFuzzer
            {
                Name = "quantized", Mutations = 1_500,                       // each opens a file of a quarter of a megabyte
                Make = random =>
                {
                    form = random.Next(forms.Length);
                    (byte[] bytes, string header) = originals[form];
                    // Small integers, such as a packed weight's shape, come first in the file, after the header.
                    return random.Next(3) switch
                    {
                        0 => WithHeader(bytes, Mutations.OfText(random, header, HeaderPieces)),
                        1 => [.. Mutations.OfBytes(random, bytes[..End(header)], 8 + header.Length), .. bytes[End(header)..]],
                        _ => Flipped(random, bytes, 8 + header.Length),
                    };
                },
                Read = bytes => Refused<CheckpointException>(folders[form].File("model.safetensors"), bytes, () =>
                {
                    using Checkpoint checkpoint = Checkpoint.Open(folders[form].Path);
                    using var scope = torch.NewDisposeScope();
                    foreach ((string name, WeightLayout weight) in checkpoint.Quantized)
                        for (int slice = 0; slice < weight.Slices.Count; slice++) checkpoint.ReadSlice(name, slice);
                }, folders[form].Path),
            }.Run();
        }
        finally
        {
            folders.ForEach(folder => folder.Dispose());
        }
    }

    [Fact]
    public void A_broken_adapter_folder_fails_only_with_the_typed_error()
    {
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"));
        using TemporaryFolder folder = Copy(Fixtures.Path("adapters", "decoder-only"));
        string config = folder.File("adapter_config.json"), tensors = folder.File("adapter_model.safetensors");
        string goodConfig = File.ReadAllText(config);
        byte[] goodTensors = File.ReadAllBytes(tensors);
        string header = HeaderOf(goodTensors);
        bool isConfig = false;
        new MutationFuzzer
        {
            Name = "adapter", Mutations = 3_000,                                                 // each places an adapter on a model
            Make = random => (isConfig = random.Next(2) == 0)
                ? Mutations.OfJsonText(random, goodConfig)
                : random.Next(2) == 0 ? Mutations.OfBytes(random, goodTensors)
                : WithHeader(goodTensors, Mutations.OfText(random, header, HeaderPieces)),
            Read = bytes =>
            {
                File.WriteAllText(config, goodConfig);
                File.WriteAllBytes(tensors, goodTensors);
                Refused<AdapterException>(
                    isConfig ? config : tensors, bytes, () => LoraAdapter.Load(folder.Path, model).Dispose(), folder.Path);
            },
        }.Run();
    }

    private static void Refused<T>(string path, byte[] bytes, Action read, string? named = null)
        where T : Exception => Refused<T, T>(path, bytes, read, named);

    private static void Refused<TFirst, TSecond>(string path, byte[] bytes, Action read, string? named = null)
        where TFirst : Exception
        where TSecond : Exception
    {
        File.WriteAllBytes(path, bytes);
        using var scope = torch.NewDisposeScope();
        try
        {
            read();
        }
        catch (Exception e) when (e is TFirst or TSecond)
        {
            Assert.Contains(named ?? path, e.Message, StringComparison.Ordinal);
        }
    }

    private static TemporaryFolder Copy(string source)
    {
        TemporaryFolder folder = Fixtures.Temporary();
        foreach (string path in Directory.GetFiles(source).Where(path => !path.EndsWith("expected.safetensors", StringComparison.Ordinal)))
            File.Copy(path, folder.File(Path.GetFileName(path)));
        return folder;
    }

    private static string HeaderOf(byte[] file) => Encoding.UTF8.GetString(file, 8, (int)BinaryPrimitives.ReadInt64LittleEndian(file));

    /// <summary>The end of the first half a kilobyte after the header.</summary>
    private static int End(string header) => 8 + header.Length + 512;

    private static byte[] WithHeader(byte[] file, string header)
    {
        byte[] json = Encoding.UTF8.GetBytes(header), length = BitConverter.GetBytes((long)json.Length);
        return [.. length, .. json, .. file[(8 + HeaderOf(file).Length)..]];
    }

    private static byte[] Flipped(Random random, byte[] bytes, int from)
    {
        bytes = [.. bytes];
        for (int n = 0; n < 8; n++) bytes[random.Next(from, bytes.Length)] ^= (byte)(1 << random.Next(8));
        return bytes;
    }
}
