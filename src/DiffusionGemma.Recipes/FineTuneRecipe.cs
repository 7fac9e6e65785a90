using System.Text;
using Microsoft.ML;
using Microsoft.ML.Data;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// A fine-tuning as a file: NeMo AutoModel's YAML for DiffusionGemma (<c>DiffusionGemmaSFTRecipe</c>), read and checked. It names the data,
/// the checkpoint, the options and the folders, and runs in one line.
/// </summary>
/// <remarks>
/// Paths of files that are read are looked for beside the recipe and then in the working folder; paths that are written to start in the
/// working folder. Keys that have no meaning here are in <see cref="Notices"/>; an unknown key is an error.
/// </remarks>
/// <example>
/// <code>
/// var recipe = FineTuneRecipe.Load("recipe.yaml", ["--optimizer.lr", "1e-5"]);
/// using RecipeRun run = recipe.Fit(new MLContext(seed: recipe.Seed));
/// </code>
/// </example>
public sealed class FineTuneRecipe
{
    /// <summary>The file, in the recipe's folder, of the saved pipeline.</summary>
    public const string ModelFileName = "model.zip";

    /// <summary>The folder, in the recipe's folder, of the trained adapter.</summary>
    public const string AdapterFolderName = "adapter";

    private const int DefaultSeed = 42;

    private readonly RecipeParts _parts;

    private FineTuneRecipe(RecipeParts parts) => _parts = parts;

    /// <summary>The recipe's file.</summary>
    public string Path => _parts.Path;

    /// <summary>The checkpoint: a folder's full path, or an id on the Hub.</summary>
    public string Checkpoint => _parts.Checkpoint;

    /// <summary>The file of a chat template in place of the checkpoint's own; null: the checkpoint's.</summary>
    public string? ChatTemplate => _parts.ChatTemplate;

    /// <summary>The rows to train on.</summary>
    public RecipeData Train => _parts.Train;

    /// <summary>The held-out rows; null: none.</summary>
    public RecipeData? Validation => _parts.Validation;

    /// <summary>The most tokens of a row.</summary>
    public int MaxLength => _parts.Train.MaxLength;

    /// <summary>The padded length of a row is a multiple of this and of the canvas length; null: of the canvas length.</summary>
    public int? PadMultiple => _parts.PadMultiple;

    /// <summary>Training options, with folders. Held-out rows are added by <see cref="Fit"/>.</summary>
    public FineTuneOptions Options => _parts.Options;

    /// <summary>The seed of every random draw.</summary>
    public int Seed => Options.Seed ?? DefaultSeed;

    /// <summary>
    /// The folder that everything is written to: checkpoints (step-NNNNNN), <see cref="ModelFileName"/>, and
    /// <see cref="AdapterFolderName"/> or <see cref="FineTuneOptions.OutputFolder"/>.
    /// </summary>
    public string Folder => _parts.Folder;

    /// <summary>Keys that have no effect, with the reason, and what else is done in another way than the recipe says.</summary>
    public IReadOnlyList<string> Notices => _parts.Notices;

    /// <summary>Reads a recipe's file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="overrides">Values in place of the file's, as on a command line: <c>--optimizer.lr 1e-5</c>, <c>--key=value</c>, or
    /// <c>--key</c> for true; null: none.</param>
    /// <param name="devices">Devices to train on; null: all CUDA devices of the machine, or the CPU.</param>
    /// <exception cref="RecipeException">The recipe has faults; the message has all of them with their lines.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static FineTuneRecipe Load(string path, IReadOnlyList<string>? overrides = null, IReadOnlyList<Device>? devices = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        path = System.IO.Path.GetFullPath(path);
        if (!File.Exists(path)) throw new FileNotFoundException($"There is no recipe at {path}.", path);
        if (new FileInfo(path).Length > RecipeYaml.MaxBytes)
            throw new RecipeException(path, [new RecipeFault(null, "", $"the file is larger than {RecipeYaml.MaxBytes >> 20} MiB")]);
        var folders = new RecipeFolders(System.IO.Path.GetDirectoryName(path)!, Environment.CurrentDirectory);
        return new FineTuneRecipe(RecipeReader.Read(path, ReadText(path), overrides ?? [], folders, devices));
    }

    /// <summary>The steps before training: conversations to packed rows.</summary>
    /// <param name="ml">The context; a checkpoint on the Hub is downloaded, and reported to its log.</param>
    public IEstimator<ITransformer> Packing(MLContext ml)
    {
        ArgumentNullException.ThrowIfNull(ml);
        return Packing(ml, Train);
    }

    /// <summary>Trains the recipe, and saves what comes of it.</summary>
    /// <remarks>
    /// Where checkpoints are enabled, a run that was stopped goes on from the newest one in <see cref="Folder"/>. Notices are warnings of
    /// the context's log.
    /// </remarks>
    /// <param name="ml">The context.</param>
    /// <param name="progress">Receives a record after every step.</param>
    /// <param name="configure">Changes the options before the run, held-out rows included; null: they stay as they are.</param>
    /// <param name="cancellation">Ends the run with a checkpoint, and throws.</param>
    /// <exception cref="RecipeException">The checkpoint, which was not on this machine when the recipe was loaded, is not the one that the
    /// recipe is for.</exception>
    /// <exception cref="HubException">The Hub does not give a file.</exception>
    /// <exception cref="TrainingException">As of <see cref="DiffusionGemmaEstimator.Fit"/>.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public RecipeRun Fit(MLContext ml, IProgress<StepRecord>? progress = null, Func<FineTuneOptions, FineTuneOptions>? configure = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(ml);
        cancellation.ThrowIfCancellationRequested();
        return new RecipeFit(_parts, ml).Run(progress, configure ?? (options => options), cancellation);
    }

    private static string ReadText(string path)
    {
        try
        {
            return File.ReadAllText(
                RegularFile.Require(path), new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true));
        }
        catch (DecoderFallbackException error)
        {
            throw new RecipeException(path, [new RecipeFault(null, "", "the file is not UTF-8: save it as such")], error);
        }
    }

    private EstimatorChain<CanvasPackingTransformer> Packing(MLContext ml, RecipeData data) => RecipeFit.Packing(ml, _parts, data);
}
