namespace DiffusionGemma.Jinja;

/// <summary>Jinja's namespace(...): the one object that a template may change, even from inside a loop.</summary>
internal sealed class PyNamespace(PyDict attributes)
{
    public PyDict Attributes => attributes;
}
