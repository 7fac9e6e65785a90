using Microsoft.ML;

namespace DiffusionGemma;

/// <summary>Reads texts of a column as questions.</summary>
internal static class TextQuestion
{
    public static Func<Question> Reader(DataViewRow row, DataViewSchema.Column column, TypedPrompt prompt, ChatTokenizer tokenizer)
    {
        Func<ReadOnlyMemory<char>> text = Getters.ReadValue<ReadOnlyMemory<char>>(row, column);
        Func<ChatPosition> position = Getters.ReadPosition(row);
        return () =>
        {
            try
            {
                string content = text().ToString();
                return string.IsNullOrWhiteSpace(content)
                    ? new Question([], position(), new ChatDataException($"{column.Name} is empty", position()))
                    : new Question(prompt.Encode(tokenizer, content), position());
            }
            catch (ChatDataException fault)
            {
                return new Question([], position(), fault);
            }
            catch (ChatException fault)
            {
                if (TemplateFaults.Describe(fault, tokenizer, position()) is not ChatDataException described) throw;
                return new Question([], position(), described);
            }
            catch (ArgumentException fault)
            {
                return new Question([], position(), new ChatDataException($"{column.Name} is no valid UTF-16", position(), fault));
            }
        };
    }
}
