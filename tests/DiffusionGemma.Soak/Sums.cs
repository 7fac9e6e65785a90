using Microsoft.ML;

namespace DiffusionGemma.Soak;

/// <summary>The arithmetic data set, which tiny-chat was trained on.</summary>
internal static class Sums
{
    public static IDataView Load(MLContext ml) =>
        ml.Data.LoadChatFromParquet(Path.Combine(Fixtures.Root, "datasets", "arithmetic", "train.parquet"), "question", "answer");
}
