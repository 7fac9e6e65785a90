using System.Buffers.Binary;
using CsCheck;

namespace DiffusionGemma;

public class SafetensorsHeaderTests
{
    private const string Good =
        """{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"b":"""
        + """{"dtype":"BF16","shape":[2],"data_offsets":[8,12]}}""";

    [Fact]
    public void A_good_header_is_read()
    {
        using SafetensorsFile file = Open(RawSafetensors.File(Good, 12));
        Assert.Equal(["a", "b"], file.Tensors.Keys);
        Assert.Equal([2L, 1L], file.Tensors["a"].Shape);
        Assert.Equal((8 + Good.Length + 8L, 4L, 2L),
            (file.Tensors["b"].Offset, file.Tensors["b"].Length, file.Tensors["b"].NumberOfElements));
    }

    [Fact]
    public void Null_metadata_is_none()
    {
        using SafetensorsFile file = Open(RawSafetensors.File(Good.Replace("""{"format":"pt"}""", "null", StringComparison.Ordinal), 12));
        Assert.Empty(file.Metadata);
        Assert.Equal(2, file.Tensors.Count);
    }

    public static TheoryData<string, string, int> Bad => new()
    {
        { "overlaps",
            """{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[8],"data_offsets":[4,12]}}""", 12 },
        { "overlaps", """{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}""", 8 },
        { "gap", """{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[8,12]}}""", 12 },
        { "gap", """{"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}""", 8 },
        { "beyond the end", """{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}""", 8 },
        { "after its last tensor", """{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}""", 9 },
        { "does not match", """{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}""", 8 },
        { "exceeds 63 bits", """{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}""", 0 },
        { "exceeds 63 bits", """{"a":{"dtype":"U8","shape":[4294967296,4294967296,4294967296,4294967296],"data_offsets":[0,0]}}""", 0 },
        { "exceeds 63 bits", """{"a":{"dtype":"F32","shape":[4611686018427387904,4611686018427387904,0],"data_offsets":[0,0]}}""", 0 },
        { "exceeds 63 bits", """{"a":{"dtype":"BF16","shape":[0,1099511627776,1099511627776],"data_offsets":[0,0]}}""", 0 },
        { "begins beyond", """{"a":{"dtype":"U8","shape":[0],"data_offsets":[9223372036854775807,9223372036854775807]}}""", 0 },
        { "integers", """{"a":{"dtype":"U8","shape":[-8],"data_offsets":[0,8]}}""", 8 },
        { "integers", """{"a":{"dtype":"U8","shape":[8.5],"data_offsets":[0,8]}}""", 8 },
        { "integers", """{"a":{"dtype":"U8","shape":["8"],"data_offsets":[0,8]}}""", 8 },
        { "a begin and an end", """{"a":{"dtype":"U8","shape":[8],"data_offsets":[8,0]}}""", 8 },
        { "a begin and an end", """{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8,8]}}""", 8 },
        { "no shape", """{"a":{"dtype":"U8","data_offsets":[0,8]}}""", 8 },
        { "no data_offsets", """{"a":{"dtype":"U8","shape":[8]}}""", 8 },
        { "no dtype", """{"a":{"shape":[8],"data_offsets":[0,8]}}""", 8 },
        { "no dtype", """{"a":8}""", 8 },
        { "not valid JSON",
            """{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}""", 8 },
        { "not valid JSON", """{"a":{"dtype":"U8","dtype":"I8","shape":[8],"data_offsets":[0,8]}}""", 8 },
        { "not valid JSON", """{"\ud800":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}""", 8 },
        { "not valid JSON", """{"a":""", 8 },
        { "not valid JSON", "", 8 },
        { "begin with {", " {}", 0 },
        { "begin with {", "[]", 0 },
        { "__metadata__", """{"__metadata__":{"a":1}}""", 0 },
        { "__metadata__", """{"__metadata__":[]}""", 0 },
        { "dimensions",
            "{\"a\":{\"dtype\":\"U8\",\"shape\":[" + string.Join(",", Enumerable.Repeat("1", 65)) + "],\"data_offsets\":[0,1]}}", 1 },
    };

    [Theory]
    [MemberData(nameof(Bad))]
    public void A_bad_header_is_refused(string message, string header, int dataBytes)
    {
        CheckpointException error = Assert.Throws<CheckpointException>(() => Open(RawSafetensors.File(header, dataBytes)));
        Assert.Contains(message, error.Message);
        Assert.EndsWith(".safetensors", error.CheckpointPath);
    }

    [Fact]
    public void A_header_longer_than_the_file_or_than_the_format_allows_is_refused()
    {
        foreach (long length in (long[])[Good.Length + 13, 100_000_001, long.MaxValue, -1, long.MinValue])
        {
            byte[] file = RawSafetensors.File(Good, 12);
            BinaryPrimitives.WriteInt64LittleEndian(file, length);
            Assert.Contains("header", Assert.Throws<CheckpointException>(() => Open(file)).Message);
        }
    }

    [Fact]
    public void A_file_cut_off_anywhere_is_refused()
    {
        byte[] file = RawSafetensors.File(Good, 12);
        for (int length = 0; length < file.Length; length++)
            Assert.Throws<CheckpointException>(() => Open(file[..length]));
    }

    [Fact]
    public void Missing_files_and_folders_are_named()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        Assert.Contains("does not exist", Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(folder.File("no"))).Message);
        Assert.Contains("neither", Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(folder.Path)).Message);
    }

    /// <summary>Whatever bytes the header has: it is read, or refused by the one exception. What is read lies within the file.</summary>
    [Fact]
    public void No_header_whatever_does_harm()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string path = folder.File("f.safetensors");
        byte[] good = RawSafetensors.File(Good, 12);
        byte[] alphabet = "{}[]\",:0123456789-eE.abFU\\u \0\u00ff"u8.ToArray();
        Gen<(int At, int Letter, int Kind)[]> edits =
            Gen.Select(Gen.Int[0, good.Length - 13], Gen.Int[0, alphabet.Length + 255], Gen.Int[0, 9]).Array[1, 6];
        int read = 0;
        foreach ((int At, int Letter, int Kind)[] draw in Draws.Of(edits, 3000))
        {
            List<byte> bytes = [.. good];
            foreach (var (at, letter, kind) in draw)
            {
                byte value = letter < alphabet.Length ? alphabet[letter] : (byte)(letter - alphabet.Length);
                int where = at % bytes.Count;
                if (kind == 0 && bytes.Count > 20) bytes.RemoveAt(where);
                else if (kind == 1) bytes.Insert(where, value);
                else if (kind == 2) bytes.RemoveRange(where + 1, (bytes.Count - where - 1) / 2);
                else bytes[where] = value;
            }
            File.WriteAllBytes(path, [.. bytes]);
            try
            {
                using SafetensorsFile file = SafetensorsFile.Open(path);
                foreach (TensorInfo tensor in file.Tensors.Values)
                {
                    Assert.InRange(tensor.Offset, 8, bytes.Count - tensor.Length);
                    file.Read(tensor.Name).Dispose();
                }
                read++;
            }
            catch (CheckpointException)
            {
            }
        }
        Assert.InRange(read, 1, 2999);                                        // both ways out were taken
    }

    private static SafetensorsFile Open(byte[] bytes)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string path = folder.File("t.safetensors");
        File.WriteAllBytes(path, bytes);
        return SafetensorsFile.Open(path);
    }
}
