using System.Buffers.Binary;
using System.Text;
using CsCheck;
using static TorchSharp.torch;

namespace DiffusionGemma;

public class SafetensorsFileTests
{
    private static readonly ScalarType[] DTypes =
    [
        ScalarType.Float64, ScalarType.Float32, ScalarType.Float16, ScalarType.BFloat16, ScalarType.Int64, ScalarType.Int32,
        ScalarType.Int16,
        ScalarType.Int8, ScalarType.Byte, ScalarType.Bool,
    ];

    public static TheoryData<string> Checkpoints => ["tiny-2layer", "tiny-6layer", "tiny-nemo", "tiny-bf16-sharded", "tiny-chat"];

    [Theory]
    [MemberData(nameof(Checkpoints))]
    public void Every_tensor_reads_exactly_as_stored_and_as_asked(string name)
    {
        using SafetensorsFile file = SafetensorsFile.Open(Fixtures.Checkpoint(name));
        using var scope = NewDisposeScope();

        Assert.Equal("pt", file.Metadata["format"]);
        foreach (TensorInfo info in file.Tensors.Values)
        {
            float[] expected = RawSafetensors.Floats(info);
            Assert.Equal(info.NumberOfElements, expected.Length);

            Tensor single = file.Read(info.Name, dtype: ScalarType.Float32);
            Assert.Equal(info.Shape, single.shape);
            Assert.Equal(expected, single.data<float>().ToArray());          // float32 holds every stored number: no tolerance
            Assert.Equal(expected.Select(number => (double)number),
                file.Read(info.Name, dtype: ScalarType.Float64).data<double>().ToArray());
            Tensor rounded = file.Read(info.Name, CPU, ScalarType.BFloat16);
            Assert.Equal(ScalarType.BFloat16, rounded.dtype);
            Assert.Equal(expected.Select(RawSafetensors.RoundToBFloat16), rounded.to(ScalarType.Float32).data<float>().ToArray());
            Assert.Equal(info.DType, file.Read(info.Name).dtype);
        }
    }

    [Fact]
    public void A_sharded_folder_has_as_many_bytes_as_its_index_says()
    {
        using SafetensorsFile file = SafetensorsFile.Open(Fixtures.Checkpoint("tiny-bf16-sharded"));
        Assert.Equal(409368, file.Tensors.Values.Sum(tensor => tensor.Length));
        Assert.Equal(8, file.Tensors.Values.Select(tensor => tensor.File).Distinct().Count());
    }

    [Fact]
    public void A_tensor_that_was_read_lives_on_without_the_file()
    {
        Tensor read;
        using (SafetensorsFile file = SafetensorsFile.Open(Fixtures.Checkpoint("tiny-2layer")))
            read = file.Read("model.decoder.norm.weight");
        using (read)
        {
            read.add_(1);                                                     // its own memory: the mapping may not be written to
            Assert.Equal(64, read.numel());
        }
    }

    [Fact]
    public void A_closed_file_and_a_missing_tensor_are_errors()
    {
        SafetensorsFile file = SafetensorsFile.Open(Fixtures.Checkpoint("tiny-2layer"));
        CheckpointException missing = Assert.Throws<CheckpointException>(() => file.Read("no.such"));
        Assert.Equal("no.such", missing.Tensor);
        Assert.Contains("model.safetensors", missing.Message);
        file.Dispose();
        Assert.Throws<ObjectDisposedException>(() => file.Read("model.decoder.norm.weight"));
    }

    [Fact]
    public void Whatever_is_written_is_read_back()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string path = folder.File("t.safetensors");
        Gen<long[]> shape = Gen.Long[0, 5].Array[0, 4];
        Gen<(string Name, long[] Shape, int DType, bool Transposed)[]> tensors =
            Gen.Select(Gen.String[Gen.Char.Where(c => !char.IsSurrogate(c)), 1, 12], shape, Gen.Int[0, DTypes.Length - 1], Gen.Bool)
            .Array[0, 12];
        foreach ((string Name, long[] Shape, int DType, bool Transposed)[] draw in Draws.Of(tensors, 200))
        {
            using var scope = NewDisposeScope();
            var generator = new Generator(5);
            var written = new Dictionary<string, Tensor>();
            foreach (var (name, size, dtype, transposed) in draw)
            {
                Tensor tensor = rand(size, generator: generator).mul(100).to(DTypes[dtype]);
                written[name] = transposed && size.Length > 1 ? tensor.transpose(0, -1) : tensor;
            }
            var metadata = draw.DistinctBy(one => one.Name).ToDictionary(one => one.Name, one => one.Name + "!");

            SafetensorsFile.Write(path, written, metadata);
            using SafetensorsFile file = SafetensorsFile.Open(path);

            Assert.Equal(metadata, file.Metadata);
            Assert.Equal(written.Keys.Order(StringComparer.Ordinal), file.Tensors.Keys.Order(StringComparer.Ordinal));
            foreach ((string name, Tensor tensor) in written)
            {
                Tensor read = file.Read(name);
                Assert.Equal(tensor.dtype, read.dtype);
                Assert.Equal(tensor.shape, read.shape);
                Assert.True(tensor.eq(read).all().item<bool>(), name);
                Assert.Equal(0, file.Tensors[name].Offset % SafetensorsDTypes.Size(tensor.dtype));
            }
        }
    }

    [Fact]
    public void What_the_reference_wrote_is_written_byte_for_byte()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        foreach (string original in (string[])
            [Path.Combine(Fixtures.Checkpoint("tiny-chat"), "model.safetensors"),
                Fixtures.Path("adapters", "shared", "adapter_model.safetensors"),
             Fixtures.Path("forward", "tiny-2layer.safetensors")])
        {
            using SafetensorsFile file = SafetensorsFile.Open(original);
            using var scope = NewDisposeScope();
            SafetensorsFile.Write(folder.File("copy"), file.Tensors.Keys.Reverse().ToDictionary(name => name, name => file.Read(name)),
                file.Metadata);
            Assert.Equal(File.ReadAllBytes(original), File.ReadAllBytes(folder.File("copy")));
        }
    }

    [Fact]
    public void A_file_above_four_gigabytes_is_read_at_its_far_end()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string path = folder.File("large.safetensors");
        const long big = (1L << 32) + 64;
        string header =
            $$$"""{"big":{"dtype":"BF16","shape":[{{{big / 2}}}],"data_offsets":[0,{{{big}}}]},"far":"""
            + $$$"""{"dtype":"F32","shape":[2],"data_offsets":[{{{big}}},{{{big + 8}}}]}}""";
        byte[] json = Encoding.UTF8.GetBytes(header.PadRight((header.Length + 7) / 8 * 8));
        try
        {
            using FileStream stream = File.Create(path);                      // sparse: the middle is never written
            Span<byte> numbers = stackalloc byte[8];
            BinaryPrimitives.WriteInt64LittleEndian(numbers, json.Length);
            stream.Write(numbers);
            stream.Write(json);
            stream.Position += big;
            BinaryPrimitives.WriteSingleLittleEndian(numbers, 1.5f);
            BinaryPrimitives.WriteSingleLittleEndian(numbers[4..], -2.5f);
            stream.Write(numbers);
        }
        catch (IOException e)
        {
            Assert.Skip($"This file system has no room for a sparse file of 4 GB: {e.Message}");
        }

        using SafetensorsFile file = SafetensorsFile.Open(path);
        using Tensor far = file.Read("far");
        Assert.Equal([1.5f, -2.5f], far.data<float>().ToArray());
        Assert.Equal(big, file.Tensors["big"].Length);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_tensor_above_two_gigabytes_is_written_in_pieces(bool contiguous)
    {
        const long rows = 3, columns = 750_000_000;                           // one byte each; memory that is never touched
        using Tensor tensor = contiguous ? empty([rows, columns], ScalarType.Byte) : zeros([1, 1], ScalarType.Byte).expand(rows, columns);
        var sink = new CountingStream();
        TensorSource.FromTensor("t", tensor).WriteTo(sink);
        Assert.Equal(rows * columns, sink.Count);
        Assert.True(sink.Largest <= 1 << 26);
    }

    [Fact]
    public void Strides_and_pieces_do_not_change_the_numbers()
    {
        using var scope = NewDisposeScope();
        // More than one piece, of more than one row.
        Tensor tensor = arange(0, 40_000_000, ScalarType.Int32).reshape(4, 10_000_000).t();
        var memory = new MemoryStream();
        TensorSource.FromTensor("t", tensor, ScalarType.Int32).WriteTo(memory);
        ReadOnlySpan<int> written =
            System.Runtime.InteropServices.MemoryMarshal.Cast<byte, int>(memory.GetBuffer().AsSpan(0, (int)memory.Length));
        Assert.Equal(40_000_000, written.Length);
        for (int n = 0; n < written.Length; n++)
            if (written[n] != n / 4 + n % 4 * 10_000_000)
                Assert.Fail($"{written[n]} at {n}");
    }

    [Fact]
    public void An_unaligned_header_is_no_obstacle()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string header = """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""";
        header += new string(' ', 7 - header.Length % 4);                     // not a multiple of 4
        byte[] bytes = RawSafetensors.File(header, 8);
        File.WriteAllBytes(folder.File("odd"), bytes);
        using SafetensorsFile file = SafetensorsFile.Open(folder.File("odd"));
        using Tensor read = file.Read("a");
        Assert.NotEqual(0, file.Tensors["a"].Offset % 4);
        Assert.Equal([BitConverter.ToSingle(bytes, bytes.Length - 8), BitConverter.ToSingle(bytes, bytes.Length - 4)],
            read.data<float>().ToArray());
    }

    [Fact]
    public void A_write_that_fails_leaves_what_was_there()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        using var scope = NewDisposeScope();
        string path = folder.File("t.safetensors");
        SafetensorsFile.Write(path, new Dictionary<string, Tensor> { ["a"] = ones(3) });
        byte[] before = File.ReadAllBytes(path);

        Assert.Throws<CheckpointException>(
            () => SafetensorsFile.Write(path, new Dictionary<string, Tensor> { ["c"] = ones(3, ScalarType.ComplexFloat32) }));
        Assert.Throws<CheckpointException>(
            () => SafetensorsFile.Write(path, new Dictionary<string, Tensor> { ["__metadata__"] = ones(3) }));
        Assert.Throws<CheckpointException>(() =>
            SafetensorsWriter.Write(path, [new TensorSource("a", ScalarType.Byte, [1], _ => throw new IOException("no room"))], null));
        Assert.Throws<CheckpointException>(
            () => SafetensorsFile.Write(Path.Combine(folder.Path, "nowhere", "t"), new Dictionary<string, Tensor> { ["a"] = ones(3) }));
        Directory.CreateDirectory(folder.File("taken"));
        Assert.Throws<CheckpointException>(
            () => SafetensorsFile.Write(folder.File("taken"), new Dictionary<string, Tensor> { ["a"] = ones(3) }));

        Assert.Equal(before, File.ReadAllBytes(path));
        Assert.Single(Directory.GetFiles(folder.Path));                       // no temporary file stays
    }

    [Fact]
    public void A_file_may_be_replaced_while_it_is_open()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows does not rename over a mapped file.");
        using TemporaryFolder folder = Fixtures.Temporary();
        using var scope = NewDisposeScope();
        string path = folder.File("t.safetensors");
        SafetensorsFile.Write(path, new Dictionary<string, Tensor> { ["a"] = ones(3) });
        using SafetensorsFile old = SafetensorsFile.Open(path);
        SafetensorsFile.Write(path, new Dictionary<string, Tensor> { ["a"] = zeros(3) });
        using SafetensorsFile now = SafetensorsFile.Open(path);
        Assert.Equal(3, old.Read("a").sum().item<float>());
        Assert.Equal(0, now.Read("a").sum().item<float>());
    }

    private sealed class CountingStream : Stream
    {
        public long Count { get; private set; }

        public int Largest { get; private set; }

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => Count;

        public override long Position { get => Count; set => throw new NotSupportedException(); }

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            Count += buffer.Length;
            Largest = Math.Max(Largest, buffer.Length);
        }

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Flush()
        {
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
