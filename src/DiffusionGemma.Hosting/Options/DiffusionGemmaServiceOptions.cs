using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Options of loading and answering for one model of the services. All entries can be bound from configuration:
/// <c>options => configuration.GetSection("DiffusionGemma").Bind(options)</c>.
/// </summary>
public sealed class DiffusionGemmaServiceOptions
{
    /// <summary>A PEFT folder to add to the model, or its id on the Hub; null: none.</summary>
    public string? Adapter { get; set; }

    /// <summary>
    /// Further adapters by the names that requests may have as their ModelId: PEFT folders, or ids on the Hub. They answer beside the
    /// model, in one batch with it (<see cref="DiffusionGemmaChatClient.Adapters"/>).
    /// </summary>
    public IDictionary<string, string> Adapters { get; set; } = new Dictionary<string, string>();

    /// <summary>A device by its name, <c>cpu</c>, <c>cuda</c> or <c>cuda:1</c>; null: the first CUDA device, else the CPU.</summary>
    public string? Device { get; set; }

    /// <summary>The dtype of weights and computation; null: bfloat16 on CUDA, float32 on the CPU.</summary>
    public ScalarType? Precision { get; set; }

    /// <summary>
    /// Rounds the weights of an unquantised checkpoint to 8 or 4 bits on loading. Default: <see cref="Quantization.None"/>.
    /// </summary>
    public Quantization Quantization { get; set; }

    /// <summary>Requests answered together at most. Default: 8.</summary>
    public int BatchSize { get; set; } = 8;

    /// <summary>Options of denoising for all requests, where their own are null; null entries: the checkpoint folder's.</summary>
    public GenerationOptions? Generation { get; set; }

    /// <summary>See <see cref="DiffusionGemmaChatClient.StreamsDrafts"/>.</summary>
    public bool StreamsDrafts { get; set; }

    /// <summary>True: the text of a control token in users' messages and tool results stays text. Default: true.</summary>
    public bool EscapesUserText { get; set; } = true;

    /// <summary>True: loading begins when the host starts, in the background. False: at the first request. Default: true.</summary>
    public bool LoadsAtStart { get; set; } = true;

    /// <summary>
    /// The time without a decoder pass after which the health check calls a queue with running requests unhealthy. Default: 5 minutes.
    /// </summary>
    public TimeSpan StallTimeout { get; set; } = TimeSpan.FromMinutes(5);

    /// <summary>The Hub and its cache; null: as the environment says.</summary>
    public HubOptions? Hub { get; set; }

    /// <summary>Loads the model and its client; takes as long as reading, or downloading, the checkpoint.</summary>
    /// <param name="checkpoint">A folder, or an id on the Hub.</param>
    /// <param name="owned">Receives what is to be freed after the client.</param>
    internal DiffusionGemmaChatClient Load(string checkpoint, ICollection<IDisposable> owned)
    {
        DiffusionGemmaChatClient client = DiffusionGemmaChatClient.Load(
            checkpoint, ParseDevice(Device), Precision, Generation, BatchSize, StreamsDrafts, Adapter, Hub, EscapesUserText,
            quantization: Quantization);
        try
        {
            DiffusionGemmaModel model = (DiffusionGemmaModel)client.GetService(typeof(DiffusionGemmaModel))!;
            foreach ((string name, string folder) in Adapters)
            {
                LoraAdapter adapter = LoraAdapter.Load(
                    HubRepository.IsId(folder) ? HubRepository.DownloadAsync(folder, Hub).GetAwaiter().GetResult() : folder, model);
                owned.Add(adapter);
                client.Adapters[name] = adapter;
            }
            return client;
        }
        catch
        {
            client.Dispose();
            throw;
        }
    }

    /// <summary>Checks all entries.</summary>
    /// <exception cref="ArgumentException">Entries that cannot be used, all in one message.</exception>
    internal void Require()
    {
        var faults = new List<string>();
        if (BatchSize < 1) faults.Add($"BatchSize is {BatchSize}; it is at least 1");
        if (StallTimeout <= TimeSpan.Zero) faults.Add($"StallTimeout is {StallTimeout}; it is positive");
        if (Adapter is { } adapter && string.IsNullOrWhiteSpace(adapter)) faults.Add("Adapter is empty; it is a folder or an id, or null");
        foreach ((string name, string folder) in Adapters)
            if (string.IsNullOrWhiteSpace(name) || string.IsNullOrWhiteSpace(folder))
                faults.Add($"Adapters holds '{name}' = '{folder}'; names and folders are not empty");
        if (Precision is { } dtype && dtype is not (ScalarType.Float32 or ScalarType.Float64 or ScalarType.BFloat16))
            faults.Add($"Precision is {dtype}; it is Float32, Float64 or BFloat16");
        if (!Enum.IsDefined(Quantization)) faults.Add($"Quantization is {Quantization}; it is None, Int8 or Int4");
        try
        {
            ParseDevice(Device);
        }
        catch (ArgumentException e)
        {
            faults.Add(e.Message);
        }
        if (faults.Count > 0) throw new ArgumentException($"The options of a DiffusionGemma service: {string.Join("; ", faults)}.");
    }

    private static Device? ParseDevice(string? name)
    {
        if (name is null) return null;
        string[] parts = name.Trim().ToLowerInvariant().Split(':');
        int index = 0;
        if (parts is ["cpu"]) return CPU;
        if (parts is ["cuda"] or ["cuda", _] && (parts.Length == 1 || int.TryParse(parts[1], out index) && index >= 0))
            return new Device(DeviceType.CUDA, index);
        throw new ArgumentException($"Device is '{name}'; it is cpu, cuda or cuda:N");
    }
}
