namespace DiffusionGemma;

internal static class Exceptions
{
    /// <summary>The first exception of a type in the chain: ML.NET wraps the errors of its threads.</summary>
    public static T GetBaseExceptionOf<T>(this Exception error)
        where T : Exception
    {
        for (Exception? at = error; at is not null; at = at.InnerException)
            if (at is T found)
                return found;
        throw new InvalidOperationException($"No {typeof(T).Name} in: {error}");
    }
}
