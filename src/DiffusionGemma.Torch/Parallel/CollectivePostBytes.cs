using System.Text;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>A post, and where its rank is, as it travels between processes of one machine type (little-endian, lengths before lists).</summary>
internal static class CollectivePostBytes
{
    private const int NoDType = -1;

    public static byte[] Write(CollectivePost post, string at)
    {
        using var bytes = new MemoryStream();
        using var writer = new BinaryWriter(bytes, Encoding.UTF8);
        CollectiveCall call = post.Call;
        writer.Write((int)call.Operation);
        writer.Write(call.DType is { } dtype ? (int)dtype : NoDType);
        writer.Write(call.Numbers);
        writer.Write(call.Root);
        WriteList(post.Sent);
        WriteList(post.Received);
        writer.Write(at);
        writer.Flush();
        return bytes.ToArray();

        void WriteList(IReadOnlyList<long> list)
        {
            writer.Write(list.Count);
            foreach (long value in list) writer.Write(value);
        }
    }

    public static (CollectivePost Post, string At) Read(byte[] bytes)
    {
        using var reader = new BinaryReader(new MemoryStream(bytes), Encoding.UTF8);
        var operation = (Collective)reader.ReadInt32();
        int dtype = reader.ReadInt32();
        var call = new CollectiveCall(operation, dtype == NoDType ? null : (ScalarType)dtype, reader.ReadInt64(), reader.ReadInt32());
        var post = new CollectivePost(call) { Sent = ReadList(), Received = ReadList() };
        return (post, reader.ReadString());

        long[] ReadList()
        {
            var list = new long[reader.ReadInt32()];
            for (int n = 0; n < list.Length; n++) list[n] = reader.ReadInt64();
            return list;
        }
    }
}
