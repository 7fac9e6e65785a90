namespace DiffusionGemma;

/// <summary>Reading stops: the file goes beyond a limit, or refers to what is not there.</summary>
internal sealed class RecipeLimitException(int? line, string message) : Exception(message)
{
    public int? Line => line;
}
