using Microsoft.ML;
using TorchSharp;

namespace DiffusionGemma;

/// <summary>
/// The location of a trained model's weights: a checkpoint folder found by name and fingerprint and, after LoRA, the adapter's files in
/// memory.
/// </summary>
/// <param name="Checkpoint">The base of the adapter, or the folder that full fine-tuning wrote.</param>
/// <param name="Adapter">adapter_config.json and adapter_model.safetensors; null after full fine-tuning.</param>
/// <param name="Precision">What passes are computed in; null: as the device suggests.</param>
/// <param name="Quantization">The rounding of the checkpoint's weights on loading.</param>
internal sealed record TrainedWeights(
    CheckpointReference Checkpoint, FileBundle? Adapter, torch.ScalarType? Precision, Quantization Quantization = Quantization.None)
{
    /// <summary>The layout of <see cref="DiffusionGemmaTransformer"/> that has the quantization.</summary>
    public const ushort QuantizationSince = 5;

    /// <summary>The layout of <see cref="DiffusionGemmaTransformer"/> that has digests of the checkpoint's files.</summary>
    public const ushort FilesSince = 6;

    private const int NoPrecision = -1;
    private static readonly string[] AdapterFiles = ["adapter_config.json", "adapter_model.safetensors"];

    public static FileBundle SaveToMemory(LoraAdapter adapter, CheckpointReference checkpoint)
    {
        using var scratch = new ScratchFolder();
        checkpoint.SaveAdapter(adapter, scratch.Path);
        return FileBundle.Read(scratch.Path, AdapterFiles);
    }

    /// <summary>Loads the checkpoint's weights and sets the adapter.</summary>
    public LoadedModel Load(string folder, torch.Device device)
    {
        torch.ScalarType precision = Precision ?? DiffusionGemmaRuntime.DefaultPrecision(device);
        DiffusionGemmaModel model = DiffusionGemmaModel.Load(folder, device, precision, Quantization);
        LoraAdapter? adapter = null;
        try
        {
            // Zips of earlier versions name no version of PEFT: their layout was the newer one's too.
            adapter = Adapter?.AsFolder(files => LoraAdapter.Load(files, model, ExpertStackLayout.SincePeft0191));
            model.Adapter = adapter;
            return new LoadedModel(model, adapter);
        }
        catch
        {
            adapter?.Dispose();
            model.Dispose();
            throw;
        }
    }

    public void Save(ModelSaveContext ctx)
    {
        ctx.SaveNonEmptyString(Checkpoint.Path);
        ctx.SaveNonEmptyString(Checkpoint.Fingerprint);
        ctx.Writer.Write(Precision is { } precision ? (int)precision : NoPrecision);
        ctx.Writer.Write((int)Quantization);
        SavedDigests.Save(ctx, Checkpoint.Files);
        ctx.Writer.Write(Adapter is not null);
        Adapter?.Save(ctx);
    }

    public static TrainedWeights Load(ModelLoadContext ctx)
    {
        var checkpoint = new CheckpointReference(ctx.LoadNonEmptyString(), ctx.LoadNonEmptyString());
        int precision = ctx.Reader.ReadInt32();
        Quantization quantization =
            ModelVersion.IsSince(ctx, QuantizationSince) ? (Quantization)ctx.Reader.ReadInt32() : Quantization.None;
        if (ModelVersion.IsSince(ctx, FilesSince)) checkpoint = checkpoint with { Files = SavedDigests.Load(ctx) };
        bool hasAdapter = ctx.Reader.ReadBoolean();
        return new TrainedWeights(
            checkpoint, hasAdapter ? FileBundle.Load(ctx) : null, precision == NoPrecision ? null : (torch.ScalarType)precision,
            quantization);
    }
}
