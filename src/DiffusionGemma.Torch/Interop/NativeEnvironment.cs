using System.Runtime.InteropServices;

namespace DiffusionGemma;

/// <summary>
/// Environment variables as native libraries read them. On Unix .NET keeps a copy of its own: what is set in it no library sees.
/// </summary>
internal static partial class NativeEnvironment
{
    /// <summary>Sets a variable for native libraries that are loaded later, for .NET, and for processes that are started.</summary>
    /// <exception cref="InvalidOperationException">The system refuses.</exception>
    public static void Set(string name, string value)
    {
        if ((OperatingSystem.IsWindows() ? _putenv_s(name, value) : setenv(name, value, 1)) != 0)
            throw new InvalidOperationException($"The system refuses to set the environment variable {name}.");
        Environment.SetEnvironmentVariable(name, value);
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int setenv(string name, string value, int overwrite);

    [LibraryImport("ucrtbase", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int _putenv_s(string name, string value);
}
