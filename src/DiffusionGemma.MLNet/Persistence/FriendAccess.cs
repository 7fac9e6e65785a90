using System.Runtime.CompilerServices;

// ML.NET saves and loads transforms only through internal members. build/MLNetFriend.targets lets the compiler see them; these
// attributes, which the runtime knows by their name, let the compiled code reach them.
[assembly: IgnoresAccessChecksTo("Microsoft.ML.Core")]
[assembly: IgnoresAccessChecksTo("Microsoft.ML.Data")]

namespace System.Runtime.CompilerServices;

[AttributeUsage(AttributeTargets.Assembly, AllowMultiple = true)]
internal sealed class IgnoresAccessChecksToAttribute(string assemblyName) : Attribute
{
    public string AssemblyName { get; } = assemblyName;
}
