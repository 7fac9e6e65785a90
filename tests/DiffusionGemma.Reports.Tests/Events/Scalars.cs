using Tensorboard;

namespace DiffusionGemma.Events;

/// <summary>The scalars of event files.</summary>
internal static class Scalars
{
    /// <summary>Reads a folder's own files: records of length, its checksum, an event, and its checksum.</summary>
    public static IReadOnlyList<(string Tag, long Step, float Value)> Read(string folder)
    {
        var scalars = new List<(string, long, float)>();
        foreach (string file in Directory.GetFiles(folder, "events.out.tfevents.*"))
        {
            using var reader = new BinaryReader(File.OpenRead(file));
            while (reader.BaseStream.Position < reader.BaseStream.Length)
            {
                long length = reader.ReadInt64();
                reader.ReadUInt32();
                var record = Event.Parser.ParseFrom(reader.ReadBytes((int)length));
                reader.ReadUInt32();
                if (record.Summary is { } summary)
                    scalars.AddRange(summary.Value.Select(value => (value.Tag, record.Step, value.SimpleValue)));
            }
        }
        return scalars;
    }
}
