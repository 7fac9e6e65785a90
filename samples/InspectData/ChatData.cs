using Microsoft.ML;

namespace DiffusionGemma.Samples;

/// <summary>Loads whatever files of chat data it is given.</summary>
internal static class ChatData
{
    public static IDataView Load(MLContext ml, InspectArguments arguments)
    {
        string data = arguments.Data;
        if (Directory.Exists(data))
            data = Path.Combine(data, Directory.EnumerateFiles(data, "*.parquet").Any() ? "*.parquet" : "*.jsonl");
        if (!data.EndsWith(".parquet", StringComparison.OrdinalIgnoreCase))
            return ml.Data.LoadChatFromJsonLines(data);
        try
        {
            return ml.Data.LoadChatFromParquet(data);
        }
        catch (ChatDataException error) when (error.MissingColumn is not null)
        {
            // No messages in it: GSM8K and its like have questions and answers.
            return ml.Data.LoadChatFromParquet(data, questionColumn: "question", answerColumn: "answer");
        }
    }
}
