using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>One run of a recipe, from its files to the saved model.</summary>
internal sealed class RecipeFit(RecipeParts recipe, MLContext ml)
{
    private readonly DiffusionGemmaCatalog _gemma = ml.Transforms.DiffusionGemma;

    public static EstimatorChain<CanvasPackingTransformer> Packing(MLContext ml, RecipeParts recipe, RecipeData data)
    {
        DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
        return gemma.TokenizeChat(recipe.Checkpoint, chatTemplate: recipe.ChatTemplate)
            .Append(gemma.MaskResponse())
            .Append(gemma.PackCanvas(recipe.Checkpoint, data.MaxLength, recipe.PadMultiple));
    }

    public RecipeRun Run(IProgress<StepRecord>? progress, Func<FineTuneOptions, FineTuneOptions> configure, CancellationToken cancellation)
    {
        LogNotices();
        CheckCheckpoint(cancellation);
        IDataView train = recipe.Train.Load(ml);
        using PackedRowStore? heldOut = ReadHeldOut();
        FineTuneOptions options = configure(heldOut is null ? recipe.Options : recipe.Options with { Evaluation = Evaluation(heldOut) });
        TransformerChain<DiffusionGemmaTransformer> model = Packing(ml, recipe, recipe.Train)
            .Append(_gemma.FineTune(recipe.Checkpoint, options, progress: progress, cancellation: cancellation))
            .Fit(train);
        try
        {
            return Save(model, train.Schema, options);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    private void LogNotices()
    {
        using IChannel log = ((IHostEnvironment)ml).Register(nameof(FineTuneRecipe)).Start("Recipe");
        foreach (string notice in recipe.Notices)
            log.Warning(MessageSensitivity.None, notice);
    }

    /// <summary>Compares the recipe with a checkpoint that was not on this machine before, by its smallest file.</summary>
    private void CheckCheckpoint(CancellationToken cancellation)
    {
        if (recipe.Unchecked is not { } facts) return;
        string config = HubRepository.DownloadFileAsync(HubId.Parse(recipe.Checkpoint), "config.json", DiffusionGemmaCheckpoints.Hub,
            cancellation: cancellation).GetAwaiter().GetResult();
        List<RecipeFault> faults = facts.Check(DiffusionGemmaConfig.Load(Path.GetDirectoryName(config)!), recipe.Checkpoint);
        RecipeReader.ThrowIfAny(recipe.Path, faults);
    }

    private PackedRowStore? ReadHeldOut()
    {
        if (recipe.Validation is not { } data) return null;
        IDataView rows = data.Load(ml);
        return _gemma.PackedRows(Packing(ml, recipe, data).Fit(rows).Transform(rows));
    }

    private EvaluationOptions Evaluation(PackedRowStore heldOut)
    {
        var evaluation = new EvaluationOptions { Examples = heldOut };
        return recipe.ValidationEverySteps is int every ? evaluation with { EverySteps = every } : evaluation;
    }

    /// <summary>Writes the pipeline and the adapter, each under a temporary name first.</summary>
    private RecipeRun Save(TransformerChain<DiffusionGemmaTransformer> model, DataViewSchema schema, FineTuneOptions options)
    {
        string? weights = options.Lora is null ? options.OutputFolder : null;
        if (!recipe.IsSaved || !TrainingProcesses.IsFirst) return new RecipeRun(model, schema) { WeightsFolder = weights };
        Directory.CreateDirectory(recipe.Folder);
        string file = Path.Combine(recipe.Folder, FineTuneRecipe.ModelFileName), written = file + ".tmp";
        try
        {
            ml.Model.Save(model, schema, written);
            File.Move(written, file, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IOException(
                $"{file} cannot be written ({e.Message.TrimEnd('.')}). Make room, and run the recipe again: it goes on from its newest "
                + "checkpoint, where there is one.", e);
        }
        finally
        {
            File.Delete(written);                                   // half a file, on a full disk
        }
        string? adapter = options.Lora is null ? null : Path.Combine(recipe.Folder, FineTuneRecipe.AdapterFolderName);
        if (adapter is not null) model.LastTransformer.SaveAdapter(adapter);
        return new RecipeRun(model, schema) { ModelFile = file, AdapterFolder = adapter, WeightsFolder = weights };
    }
}
