using System.Runtime.ExceptionServices;
using Microsoft.ML;

namespace DiffusionGemma;

/// <summary>Moves a cursor and unwraps a <see cref="ChatDataException"/>.</summary>
/// <remarks>ML.NET reads rows on several threads and wraps an error in another one that does not name the row.</remarks>
internal static class RowErrors
{
    public static bool MoveNext(DataViewRowCursor cursor)
    {
        try
        {
            return cursor.MoveNext();
        }
        catch (InvalidOperationException error) when (Wrapped(error) is { } row)
        {
            ExceptionDispatchInfo.Throw(row);
            throw;
        }
    }

    private static ChatDataException? Wrapped(Exception error)
    {
        for (Exception? inner = error.InnerException; inner is not null; inner = inner.InnerException)
            if (inner is ChatDataException row)
                return row;
        return null;
    }
}
