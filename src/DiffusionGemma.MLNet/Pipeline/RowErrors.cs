using System.Runtime.ExceptionServices;
using Microsoft.ML;

namespace DiffusionGemma;

/// <summary>Moves a cursor and unwraps an error of a row or of the chat template.</summary>
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

    private static Exception? Wrapped(Exception error)
    {
        for (Exception? inner = error.InnerException; inner is not null; inner = inner.InnerException)
            if (inner is ChatDataException or ChatException)
                return inner;
        return null;
    }
}
