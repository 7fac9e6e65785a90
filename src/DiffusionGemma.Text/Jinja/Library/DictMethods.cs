namespace DiffusionGemma.Jinja;

/// <summary>Methods of dict. Those that would change it are out of reach, as in transformers' sandbox.</summary>
internal static class DictMethods
{
    public static object? Find(PyDict dict, string name) => name switch
    {
        "get" => new PyFunction(name, (_, arguments) =>
        {
            object?[] given = arguments.Bind(name, 1, "key", "default");
            return dict.TryGet(given[0], out object? value) ? value : given[1] == Arguments.Missing ? null : given[1];
        }),
        "items" => new PyFunction(name, (_, _) => PyDictView.ItemsOf(dict)),
        "keys" => new PyFunction(name, (_, _) => new PyDictView("dict_keys", [.. dict.Keys])),
        "values" => new PyFunction(name, (_, _) => new PyDictView("dict_values", [.. dict.Values])),
        "copy" => new PyFunction(name, (_, _) => dict.Copy()),
        "clear" or "fromkeys" or "pop" or "popitem" or "setdefault" or "update" =>
            new Undefined($"access to attribute '{name}' of 'dict' object is unsafe."),
        _ => null,
    };
}
