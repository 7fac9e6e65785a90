using System.Text;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Converts a request and its rank's activity to and from the bytes that processes of one machine type exchange (little-endian, lengths
/// before lists).
/// </summary>
internal static class CollectiveRequestBytes
{
    private const int NoDType = -1;

    public static byte[] Write(CollectiveRequest request, string activity)
    {
        using var bytes = new MemoryStream();
        using var writer = new BinaryWriter(bytes, Encoding.UTF8);
        CollectiveCall call = request.Call;
        writer.Write((int)call.Operation);
        writer.Write(call.DType is { } dtype ? (int)dtype : NoDType);
        writer.Write(call.Elements);
        writer.Write(call.Root);
        WriteList(request.Sent);
        WriteList(request.Received);
        writer.Write(activity);
        writer.Flush();
        return bytes.ToArray();

        void WriteList(IReadOnlyList<long> list)
        {
            writer.Write(list.Count);
            foreach (long value in list) writer.Write(value);
        }
    }

    public static (CollectiveRequest Request, string Activity) Read(byte[] bytes)
    {
        using var reader = new BinaryReader(new MemoryStream(bytes), Encoding.UTF8);
        var operation = (Collective)reader.ReadInt32();
        int dtype = reader.ReadInt32();
        var call = new CollectiveCall(operation, dtype == NoDType ? null : (ScalarType)dtype, reader.ReadInt64(), reader.ReadInt32());
        var request = new CollectiveRequest(call) { Sent = ReadList(), Received = ReadList() };
        return (request, reader.ReadString());

        long[] ReadList()
        {
            var list = new long[reader.ReadInt32()];
            for (int n = 0; n < list.Length; n++) list[n] = reader.ReadInt64();
            return list;
        }
    }
}
