using System.Buffers;
using System.Text.Json;
using Microsoft.Data.Analysis;

namespace DiffusionGemma;

/// <summary>
/// Conversations from the rows of a data frame: from a text column of messages, or from columns of questions and answers.
/// </summary>
internal sealed class DataFrameSource : IChatSource
{
    private static readonly Type[] Texts = [typeof(string), typeof(ReadOnlyMemory<char>)];
    private static readonly Type[] Integers =
        [typeof(sbyte), typeof(byte), typeof(short), typeof(ushort), typeof(int), typeof(uint), typeof(long), typeof(ulong)];
    private static readonly Type[] Others = [typeof(bool), typeof(float), typeof(double)];

    private readonly DataFrame _frame;
    private readonly string[] _columns;
    private readonly bool _wholeRows;

    public DataFrameSource(DataFrame frame, ChatDataOptions options)
    {
        _frame = frame;
        if (frame.Columns.FirstOrDefault(column => ChatConversation.MediaKeys.Contains(column.Name)) is { } media)
            throw new ArgumentException($"The data frame has a column '{media.Name}', and this library is text only: remove it and the "
                + "rows that need it.", nameof(frame));
        // A frame made of a loaded view holds its rows, which are conversations as they stand.
        _wholeRows = options.QuestionColumn is null && !Has(options.MessagesColumn) && Has(options.OutputColumn);
        _columns = _wholeRows ? [Text(options.OutputColumn)] : [.. Columns(options)];
    }

    public long? RowCount => _frame.Rows.Count;

    public IEnumerable<RawChatRow> Rows()
    {
        DataFrameColumn[] columns = [.. _columns.Select(name => _frame.Columns[name])];
        var buffer = new ArrayBufferWriter<byte>();
        for (long row = 0; row < _frame.Rows.Count; row++)
        {
            buffer.ResetWrittenCount();
            yield return Read(columns, row, buffer);
        }
    }

    private RawChatRow Read(DataFrameColumn[] columns, long row, ArrayBufferWriter<byte> buffer)
    {
        var position = new ChatPosition(null, Row: row);
        try
        {
            if (_wholeRows)
                return columns[0][row]?.ToString() is { } text ? new RawChatRow(StrictUtf8.Instance.GetBytes(text), position)
                    : new RawChatRow(default, position, "the row is null");
            using (var writer = new Utf8JsonWriter(buffer))
            {
                writer.WriteStartObject();
                foreach (DataFrameColumn column in columns)
                {
                    if (column[row] is not { } value)
                        continue;
                    writer.WritePropertyName(column.Name);
                    Write(writer, value);
                }
                writer.WriteEndObject();
            }
            return new RawChatRow(buffer.WrittenMemory, position);
        }
        catch (InvalidRowException error)
        {
            return new RawChatRow(default, position, error.Message, error.InnerException);
        }
        catch (ArgumentException error)
        {
            return new RawChatRow(default, position, $"a string of the row is no valid UTF-16: {error.Message}", error);
        }
    }

    private static void Write(Utf8JsonWriter writer, object value)
    {
        switch (value)
        {
            case string text:
                writer.WriteStringValue(StrictUtf8.Instance.GetBytes(text));
                break;
            case ReadOnlyMemory<char> text:
                writer.WriteStringValue(StrictUtf8.Instance.GetBytes(text.ToArray()));
                break;
            case bool truth:
                writer.WriteBooleanValue(truth);
                break;
            case float or double:
                JsonNumber.WriteFloat(writer, Convert.ToDouble(value));
                break;
            case ulong number:
                writer.WriteNumberValue(number);
                break;
            default:
                writer.WriteNumberValue(Convert.ToInt64(value));
                break;
        }
    }

    private IEnumerable<string> Columns(ChatDataOptions options)
    {
        IEnumerable<string> rows = options.QuestionColumn is not { } question ? MessageColumns(options)
            : options.AnswerColumn is { } answer ? [Text(question), Text(answer)] : [Text(question)];
        return rows.Concat(ChatRow.TemplateKeys.Except(options.TemplateColumns).Where(Has).Select(Plain))
            .Concat(options.TemplateColumns.Select(Plain)).Distinct();
    }

    private IEnumerable<string> MessageColumns(ChatDataOptions options)
    {
        string[] names = [options.MessagesColumn, ChatRow.ShareGptKey];
        if (names.FirstOrDefault(Has) is { } messages)
            return messages != ChatRow.ShareGptKey || !Has(ChatRow.SystemKey) ? [Text(messages)]
                : [Text(messages), Text(ChatRow.SystemKey)];
        if (!Has(Alpaca.InstructionKey))
            throw Missing(options.MessagesColumn);
        return [Text(Alpaca.InstructionKey), .. Alpaca.OptionalKeys.Where(Has).Select(Text),
            .. Alpaca.OtherNames.Where(name => Has(name) && Texts.Contains(_frame.Columns[name].DataType))];
    }

    private bool Has(string name) => _frame.Columns.Any(column => column.Name == name);

    private string Text(string name) => Typed(name, Texts, "text");

    private string Plain(string name) => Typed(name, [.. Texts, .. Integers, .. Others], "text, a number or a truth value");

    private string Typed(string name, Type[] types, string expected)
    {
        DataFrameColumn column = _frame.Columns.FirstOrDefault(column => column.Name == name) ?? throw Missing(name);
        return types.Contains(column.DataType)
            ? name
            : throw new ArgumentException($"Column '{name}' of the data frame must hold {expected}, it holds {column.DataType.Name}.",
                "frame");
    }

    private ArgumentException Missing(string name) =>
        new($"The data frame has no column '{name}'; it has {string.Join(", ", _frame.Columns.Select(column => $"'{column.Name}'"))}: "
            + $"name one of these in {nameof(ChatDataOptions)}.", "frame");
}
