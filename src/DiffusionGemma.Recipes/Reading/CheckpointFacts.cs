namespace DiffusionGemma;

/// <summary>Numbers of a recipe that must be its checkpoint's.</summary>
internal sealed class CheckpointFacts(RecipeNode root, IReadOnlyList<RecipeData> data)
{
    private static readonly string[] CanvasKeys = ["model.canvas_length", "dllm.block_size", "dllm.pad_block_size"];
    private const string VocabularyKey = "dllm.vocab_size";

    /// <summary>Checks that they are numbers.</summary>
    public void CheckTypes(ICollection<RecipeFault> faults)
    {
        var values = new RecipeValues(root, faults);
        foreach (string key in CanvasKeys.Append(VocabularyKey))
            _ = values.Integer(key);
    }

    /// <summary>Compares them with a checkpoint's config.json.</summary>
    public List<RecipeFault> Check(DiffusionGemmaConfig config, string checkpoint)
    {
        List<RecipeFault> faults = [];
        var values = new RecipeValues(root, faults);
        foreach (string key in CanvasKeys)
            Check(values, key, config.CanvasLength, "canvas length", checkpoint);
        Check(values, VocabularyKey, config.VocabularySize, "vocabulary", checkpoint);
        foreach (RecipeData rows in data.Where(rows => rows.MaxLength > config.MaxPositionEmbeddings))
        {
            string key = values.Integer("dataset.seq_length") == rows.MaxLength || !values.Has("validation_dataset.seq_length")
                ? "dataset.seq_length" : "validation_dataset.seq_length";
            values.Fault(key, $"{rows.MaxLength} is more than the {config.MaxPositionEmbeddings} positions of {checkpoint}: "
                + $"--{key} {config.MaxPositionEmbeddings}");
        }
        if (values.Integer("peft.dim") is int rank && rank > config.HiddenSize)
            values.Fault("peft.dim", $"{rank} is more than the hidden size of {checkpoint}, {config.HiddenSize}: usual ranks are 8 to 64");
        return faults;
    }

    private static void Check(RecipeValues values, string key, int expected, string name, string checkpoint)
    {
        if (values.Integer(key) is int value && value != expected)
            values.Fault(key, $"{value} is not the {name} of {checkpoint}, which is {expected}: --{key} {expected}");
    }
}
