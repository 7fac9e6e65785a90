using System.Collections.Concurrent;
using System.Diagnostics.Tracing;
using System.Net;
using System.Net.Sockets;
using DiffusionGemma.FineTuning;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Security;

/// <summary>No socket is opened unless an id of the Hub, a process group or a server asks for one.</summary>
[Collection(Alone.Name)]
public sealed class SocketTests
{
    [Fact]
    public void Training_saving_loading_and_answering_open_no_socket()
    {
        var ml = new MLContext(seed: 1);
        using TemporaryFolder folder = Fixtures.Temporary();
        using var network = new NetworkEvents();
        int before = OpenSockets();

        IDataView rows = TinyChat.Questions(ml, rows: 4);
        ITransformer trained = TinyChat.Preparation(ml).Append(ml.Transforms.DiffusionGemma.FineTune(
            TinyChat.Checkpoint, TinyChat.Lora with { Checkpoints = new RunCheckpointOptions { Folder = folder.File("run") } })).Fit(rows);
        ml.Model.Save(trained, rows.Schema, folder.File("model.zip"));
        (trained as IDisposable)?.Dispose();
        ITransformer loaded = ml.Transforms.DiffusionGemma.Load(folder.File("model.zip"));
        IDataView answers = ml.Transforms.DiffusionGemma.Score(
            loaded, TinyChat.Unanswered(ml, "What is 8 plus 7?"), options => options with { Generation = TinyChat.Quick });
        Assert.Single(answers.GetColumn<string>("Response"));
        (loaded as IDisposable)?.Dispose();

        Assert.Empty(network.Seen);
        Assert.Equal(before, OpenSockets());

        // The counter counts.
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var client = new TcpClient();
        client.Connect((IPEndPoint)listener.LocalEndpoint);
        Assert.NotEmpty(network.Seen);
        if (before >= 0) Assert.True(OpenSockets() > before);
    }

    /// <summary>Sockets that this process holds; -1 where the system does not list them.</summary>
    private static int OpenSockets() => !Directory.Exists("/proc/self/fd") ? -1
        : Directory.EnumerateFileSystemEntries("/proc/self/fd")
            .Count(path => new FileInfo(path).LinkTarget?.StartsWith("socket:", StringComparison.Ordinal) == true);

    /// <summary>Events of .NET's sockets, names and requests, of the whole process.</summary>
    private sealed class NetworkEvents : EventListener
    {
        public ConcurrentQueue<string> Seen { get; } = new();

        protected override void OnEventSourceCreated(EventSource source)
        {
            if (source.Name.StartsWith("System.Net.", StringComparison.Ordinal))
                EnableEvents(source, EventLevel.Informational);
        }

        protected override void OnEventWritten(EventWrittenEventArgs written)
        {
            if (written.EventSource.Name.StartsWith("System.Net.", StringComparison.Ordinal) && written.EventName != "EventCounters")
                Seen?.Enqueue($"{written.EventSource.Name} {written.EventName}");
        }
    }
}
