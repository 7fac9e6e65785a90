namespace DiffusionGemma.Jinja;

/// <summary>namespace(...): the one object that a template may change, also from inside a loop.</summary>
internal sealed class PyNamespace(PyDict attributes)
{
    public PyDict Attributes => attributes;
}
