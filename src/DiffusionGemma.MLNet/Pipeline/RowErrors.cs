using System.Runtime.ExceptionServices;
using Microsoft.ML;

namespace DiffusionGemma;

/// <summary>
/// Where ML.NET reads rows on several threads it wraps an error in another, of a type and message that say nothing of the row. Fit and
/// scoring give back the error itself.
/// </summary>
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
