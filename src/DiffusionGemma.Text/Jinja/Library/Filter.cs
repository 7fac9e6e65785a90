namespace DiffusionGemma.Jinja;

/// <summary>A filter, called with the value on the left of the bar and the arguments in the parentheses.</summary>
internal delegate object? Filter(Interpreter interpreter, object? value, Arguments arguments);
