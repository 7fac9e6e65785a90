namespace DiffusionGemma;

/// <summary>A value of the input's row that is neither question nor messages.</summary>
/// <param name="Name">Its key.</param>
/// <param name="Json">The value, as JSON.</param>
internal readonly record struct OtherValue(string Name, string Json);
