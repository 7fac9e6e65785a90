using TorchSharp;

namespace DiffusionGemma;

/// <summary>The command line of <c>serve</c>.</summary>
internal sealed record ServeSettings
{
    /// <summary>Settings that the command line names.</summary>
    public required string Model { get; init; }

    public required ServerAddresses Addresses { get; init; }

    /// <summary>The certificate of https addresses; null: there are none.</summary>
    public string? Certificate { get; init; }

    /// <summary>Its private key; null: in the certificate's file.</summary>
    public string? CertificateKey { get; init; }

    /// <summary>Names that requests may be addressed to, besides this machine's own.</summary>
    public required IReadOnlyList<string> AllowedHosts { get; init; }

    /// <summary>The model's name in requests; null: its id or its folder's name.</summary>
    public string? Name { get; init; }

    /// <summary>Adapters beside the model, by their names in requests.</summary>
    public required IReadOnlyDictionary<string, string> Adapters { get; init; }

    /// <summary>True where clients may load and unload adapters.</summary>
    public bool ChangesAdapters { get; init; }

    public required int BatchSize { get; init; }

    public required int MaxRequests { get; init; }

    public Quantization Quantization { get; init; }

    /// <summary>A folder of training runs that the page shows; null: none.</summary>
    public string? Runs { get; init; }

    public bool LogsPrompts { get; init; }

    public bool ServesPage { get; init; }

    /// <summary>The file of a chat template; null: the model's own.</summary>
    public string? ChatTemplate { get; init; }

    /// <summary>Null: the first CUDA device, or the CPU.</summary>
    public torch.Device? Device { get; init; }

    /// <summary>Options of denoising, where a request has none.</summary>
    public required GenerationOptions Generation { get; init; }
}
