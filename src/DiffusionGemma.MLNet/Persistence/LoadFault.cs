using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>Logs errors of loading, because ML.NET calls loaders by reflection and wraps what they throw.</summary>
internal static class LoadFault
{
    /// <summary>Writes an error to <c>MLContext.Log</c> and returns it, to be thrown.</summary>
    public static T Report<T>(IHostEnvironment environment, T error)
        where T : Exception
    {
        using IChannel log = environment.Register("Load").Start("Load");
        log.Error(error.Message);
        return error;
    }
}
