using System.Runtime.CompilerServices;

// ML.NET saves and loads transforms only through internal members. build/MLNetFriend.targets lets the compiler see them; these
// attributes, which the runtime knows by their name, let the compiled code reach them.
[assembly: IgnoresAccessChecksTo("Microsoft.ML.Core")]
[assembly: IgnoresAccessChecksTo("Microsoft.ML.Data")]
