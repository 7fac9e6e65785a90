using System.Text;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma;

/// <summary>GSM8K, grade-school mathematics in words (Cobbe et al. 2021), as conversations.</summary>
public static class Gsm8k
{
    /// <summary>The training questions on the Hub.</summary>
    public const string TrainFiles = "hf://datasets/openai/gsm8k/main/train-*.parquet";

    /// <summary>The held-out questions on the Hub.</summary>
    public const string TestFiles = "hf://datasets/openai/gsm8k/main/test-*.parquet";

    /// <summary>The file that NeMo AutoModel's recipes read the training questions from.</summary>
    public const string TrainFileName = "gsm8k_chat_train.jsonl";

    /// <summary>
    /// Writes questions and answers as JSON Lines of conversations, the form that the recipes read:
    /// <c>{"messages":[{"role":"user","content":"..."},{"role":"assistant","content":"..."}]}</c>.
    /// </summary>
    /// <param name="ml">The context; files on the Hub are downloaded, and reported to its log.</param>
    /// <param name="output">The file that is written, with .tmp behind its name until it is whole; a second writer is refused.</param>
    /// <param name="sources">Files with columns or keys <c>question</c> and <c>answer</c>: parquet or JSON Lines, patterns of such, or
    /// addresses on the Hub; none: <see cref="TrainFiles"/>.</param>
    /// <returns>The number of rows.</returns>
    /// <exception cref="HubException">The Hub does not give a file.</exception>
    /// <exception cref="ChatDataException">A file has not the columns, or a row cannot be read.</exception>
    /// <exception cref="IOException">A file is not there, or the output cannot be written.</exception>
    public static int WriteConversations(MLContext ml, string output, params string[] sources)
    {
        ArgumentNullException.ThrowIfNull(ml);
        ArgumentException.ThrowIfNullOrEmpty(output);
        ArgumentNullException.ThrowIfNull(sources);
        if (sources.Length == 0) sources = [TrainFiles];
        var options = new ChatDataOptions { QuestionColumn = "question", AnswerColumn = "answer" };
        IDataView rows = sources.All(RecipeData.IsParquetFile)
            ? ml.Data.LoadChatFromParquet(options, sources) : ml.Data.LoadChatFromJsonLines(options, sources);
        output = Path.GetFullPath(output);
        Directory.CreateDirectory(Path.GetDirectoryName(output)!);
        string written = output + ".tmp";
        // Held until it is moved: a second writer of the file is refused, and what a killed one left is written over.
        var file = new FileStream(written, FileMode.Create, FileAccess.Write, FileShare.None);
        try
        {
            int count = 0;
            using (var writer = new StreamWriter(file, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false)))
            {
                foreach (string messages in rows.GetColumn<string>(ChatColumns.Messages))
                {
                    writer.Write($"{{\"messages\":{messages}}}\n");
                    count++;
                }
            }
            File.Move(written, output, overwrite: true);
            return count;
        }
        finally
        {
            File.Delete(written);
        }
    }
}
