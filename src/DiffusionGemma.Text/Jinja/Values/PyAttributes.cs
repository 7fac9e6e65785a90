namespace DiffusionGemma.Jinja;

/// <summary><c>value.name</c> and <c>value[key]</c>, each falling back on the other as Jinja has it.</summary>
internal static class PyAttributes
{
    public static object? GetAttribute(object? target, string name)
    {
        if (target is Undefined undefined)
            throw undefined.Fail();
        if (TryGetOwn(target, name, out object? value))
            return value;
        return target is PyDict dict && dict.TryGet(name, out value) ? value : Undefined.Attribute(target, name);
    }

    public static object? GetItem(object? target, object? key)
    {
        switch (target)
        {
            case Undefined undefined:
                throw undefined.Fail();
            case PyDict dict when key is not (PyList or PyDict):
                if (dict.TryGet(key, out object? found))
                    return found;
                break;
            case PySequence sequence when PyNumber.IsInteger(key):
                return Place(key, sequence.Count) is int place ? sequence[place] : Undefined.Item(target, key);
            case string text when PyNumber.IsInteger(key):
                return GetCharacter(text, key);
        }
        return key is string name && TryGetOwn(target, name, out object? value) ? value : Undefined.Item(target, key);
    }

    private static object? GetCharacter(string text, object? key)
    {
        if (PyString.IsSimple(text))
            return Place(key, text.Length) is int unit ? text[unit].ToString() : Undefined.Item(text, key);
        string[] characters = [.. PyString.Characters(text)];
        return Place(key, characters.Length) is int place ? characters[place] : Undefined.Item(text, key);
    }

    private static int? Place(object? key, int count)
    {
        long place = PyNumber.ToIndex(key, "an index");
        if (place < 0)
            place += count;
        return place >= 0 && place < count ? (int)place : null;
    }

    /// <summary>Looks up an attribute of the value itself: Python's getattr.</summary>
    private static bool TryGetOwn(object? target, string name, out object? value)
    {
        value = null;
        switch (target)
        {
            case PyNamespace space:
                return space.Attributes.TryGet(name, out value);
            case LoopContext loop:
                value = loop.Attribute(name);
                return value is not Undefined || name is "previtem" or "nextitem";
            case PyFunction { Macro: { } macro } function:
                value = MacroAttribute(function.Name, macro, name);
                return value is not null;
            case PyDict dict:
                value = DictMethods.Find(dict, name);
                return value is not null;
            case PySequence sequence:
                value = SequenceMethods.Find(sequence, name);
                return value is not null;
            case string text:
                value = StringMethods.Find(text, name);
                return value is not null;
            case double number when name == "is_integer":
                value = new PyFunction(name, (_, _) => double.IsFinite(number) && Math.Floor(number) == number);
                return true;
            default:
                return false;
        }
    }

    private static object? MacroAttribute(string macroName, MacroInfo macro, string name) => name switch
    {
        "name" => macroName,
        "arguments" => new PyTuple([.. macro.Parameters]),
        "caller" => macro.TakesCaller,
        "catch_kwargs" => macro.TakesMoreNamed,
        "catch_varargs" => macro.TakesMorePositional,
        _ => null,
    };
}
