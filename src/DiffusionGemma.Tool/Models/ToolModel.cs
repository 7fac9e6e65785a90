using System.IO.Compression;
using System.Security.Cryptography;
using Microsoft.ML;
using TorchSharp;

namespace DiffusionGemma;

/// <summary>A model that answers rows of conversations.</summary>
internal sealed class ToolModel : IDisposable
{
    private static readonly string[] TextFiles =
        ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"];

    private readonly MLContext _ml;
    private readonly ModelReference _reference;
    private readonly LoraAdapter? _adapter;

    private ToolModel(MLContext ml, ModelReference reference, ITransformer pipeline, LoraAdapter? adapter) =>
        (_ml, _reference, Pipeline, _adapter) = (ml, reference, pipeline, adapter);

    /// <summary>Conversations to answers.</summary>
    public ITransformer Pipeline { get; }

    /// <summary>The part of <see cref="Pipeline"/> that answers.</summary>
    public DiffusionGemmaTransformer Answers => _ml.Transforms.DiffusionGemma.AnsweringPart(Pipeline);

    /// <summary>Loads a model; weights are read now.</summary>
    /// <param name="ml">The context.</param>
    /// <param name="name">What the command line names.</param>
    /// <param name="device">Null: the first CUDA device, or the CPU.</param>
    /// <param name="context">For downloads.</param>
    /// <param name="chatTemplate">The file of a chat template in place of the checkpoint's; null: the checkpoint's.</param>
    /// <param name="quantization">Rounds an unquantised checkpoint.</param>
    public static async Task<ToolModel> LoadAsync(
        MLContext ml, string name, torch.Device? device, CommandContext context, string? chatTemplate = null,
        Quantization quantization = Quantization.None)
    {
        if (chatTemplate is not null) DataFiles.RequireFile(chatTemplate, ExitCode.Usage);
        ModelReference reference = await ModelReference.FindAsync(name, context);
        Func<string>? before = context.Interruption.AtOnce;
        context.Interruption.AtOnce ??= Interruption.Stopped;             // weights take minutes to be read
        ToolModel model = Load(ml, reference, device, chatTemplate, quantization);
        context.Interruption.AtOnce = before;
        foreach (string notice in model.Notices) context.Output.Say($"note: {notice}");
        return model;
    }

    /// <summary>Loads a model that was found.</summary>
    /// <param name="ml">The context.</param>
    /// <param name="reference">The model's files.</param>
    /// <param name="device">Null: the first CUDA device, or the CPU.</param>
    /// <param name="chatTemplate">The file of a chat template in place of the checkpoint's; null: the checkpoint's.</param>
    /// <param name="quantization">Rounds an unquantised checkpoint.</param>
    public static ToolModel Load(
        MLContext ml, ModelReference reference, torch.Device? device, string? chatTemplate = null,
        Quantization quantization = Quantization.None)
    {
        if (reference.Zip is { } file && chatTemplate is not null)
            throw new ToolException(ExitCode.Usage, $"{file} holds the template that it was trained with: leave --chat-template out.");
        if (reference.Zip is { } zipped && quantization != Quantization.None)
            throw new ToolException(ExitCode.Usage, $"{zipped} remembers how its weights are rounded: leave --quantization out.");
        DiffusionGemmaCheckpoints.Device = device;
        DiffusionGemmaCheckpoints.DownloadsOnLoad = true;
        DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
        return Stage.Model(() =>
        {
            if (reference.Zip is { } zip)
            {
                var saved = new ToolModel(ml, reference, gemma.Load(zip), null);
                _ = saved.Answers.Model;
                return saved;
            }
            string checkpoint = reference.Checkpoint!;
            var model = gemma.TokenizeChat(checkpoint, chatTemplate: chatTemplate)
                .Append(gemma.MaskResponse())
                .Append(gemma.Answer(checkpoint, new AnswerOptions { Quantization = quantization }))
                .Fit(ml.Data.LoadChatFromEnumerable(Array.Empty<string>()));
            DiffusionGemmaModel weights = model.LastTransformer.Model;
            LoraAdapter? adapter = reference.Adapter is { } folder ? LoraAdapter.Load(folder, weights) : null;
            if (adapter is not null) weights.Adapter = adapter;
            return new ToolModel(ml, reference, model, adapter);
        });
    }

    /// <summary>Sentences about what was loaded in another way than it is stored, or has no effect; usually none.</summary>
    private IEnumerable<string> Notices => [.. Answers.Model.Notices, .. (_adapter ?? Answers.Adapter)?.Notices ?? []];

    /// <summary>True for a zip that training saved.</summary>
    public bool IsSavedPipeline => _reference.Zip is not null;

    /// <exception cref="ToolException">The model has no adapter.</exception>
    public LoraAdapter RequireAdapter() => _adapter ?? Answers.Adapter ?? throw new ToolException(
        ExitCode.Usage, $"The model has no adapter: its weights are the checkpoint {Answers.Checkpoint.Path}.");

    /// <summary>
    /// Text files of the base's folder that are not those that a zip was saved with, though a folder made of the base gets them: damaged,
    /// or changed since. Or the model was trained with a chat template of its own.
    /// </summary>
    public IReadOnlyList<string> ChangedTextFiles()
    {
        if (_reference.Zip is not { } path) return [];
        using ZipArchive zip = ZipFile.OpenRead(path);
        return
        [
            .. TextFiles.Where(name =>
            {
                ZipArchiveEntry[] saved = [.. zip.Entries.Where(entry => Path.GetFileName(entry.FullName.Replace('\\', '/')) == name)];
                return saved.Length > 0 && saved.All(entry => !IsSame(entry, Path.Combine(Answers.Model.Folder, name)));
            }),
        ];
    }

    private static bool IsSame(ZipArchiveEntry saved, string path)
    {
        if (!File.Exists(path)) return false;
        using Stream content = saved.Open();
        return Convert.ToHexString(SHA256.HashData(content)) == Hash(path);
    }

    /// <summary>Identifies the files that answers depend on.</summary>
    public string Fingerprint()
    {
        if (_reference.Zip is { } zip) return Hash(zip);
        IEnumerable<string> texts = TextFiles.Select(name => Path.Combine(_reference.Checkpoint!, name)).Where(File.Exists);
        IEnumerable<string> adapter = _reference.Adapter is { } folder
            ? Directory.EnumerateFiles(folder, "adapter_*").Order(StringComparer.Ordinal) : [];
        IEnumerable<string> rounding = Answers.Model.Quantization is not Quantization.None and var kind ? [kind.ToString()] : [];
        return string.Join('-', texts.Concat(adapter).Select(Hash).Prepend(Answers.Checkpoint.Fingerprint).Concat(rounding));
    }

    /// <summary>A chat client over the model, with the text files that the model was saved with; dispose it first.</summary>
    /// <param name="options">Options of denoising, where a request has none.</param>
    /// <param name="batchSize">Requests answered together.</param>
    /// <param name="name">The model's name in answers; null: that of its file or folder.</param>
    public DiffusionGemmaChatClient CreateChatClient(GenerationOptions options, int batchSize = 1, string? name = null)
    {
        DiffusionGemmaModel weights = Answers.Model;
        var queue = new GenerationQueue(weights, options.Over(Answers.Generation), batchSize);
        name ??= Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(_reference.Zip ?? weights.Folder)));
        return new DiffusionGemmaChatClient(queue, Answers.ChatTokenizer, name, ownsQueue: true) { StreamsDrafts = true };
    }

    /// <summary>Packs rows as training sees them: by the pipeline's own steps where it was trained, else as far as
    /// <paramref name="maxLength"/>.</summary>
    public IDataView Pack(IDataView rows, int maxLength)
    {
        ITransformer[] steps = [.. Parts(Pipeline).TakeWhile(part => part is not DiffusionGemmaTransformer)];
        IDataView prepared = steps.Aggregate(rows, (view, step) => step.Transform(view));
        return steps.Any(step => step is CanvasPackingTransformer)
            ? prepared
            : _ml.Transforms.DiffusionGemma.PackCanvas(Answers.Model.Folder, maxLength).Fit(prepared).Transform(prepared);
    }

    public void Dispose()
    {
        (Pipeline as IDisposable)?.Dispose();
        _adapter?.Dispose();
    }

    internal static string Hash(string path)
    {
        using FileStream file = File.OpenRead(path);
        return Convert.ToHexString(SHA256.HashData(file));
    }

    private static IEnumerable<ITransformer> Parts(ITransformer model) =>
        model is IEnumerable<ITransformer> chain ? chain.SelectMany(Parts) : [model];
}
