using System.Runtime.InteropServices;

namespace DiffusionGemma;

/// <summary>Linux's dynamic linker, where .NET's way to load a library is not enough.</summary>
internal static partial class DynamicLinker
{
    private const int Now = 2;

    /// <summary>Loads a library and binds all of its symbols. .NET's own loading leaves each to its first use.</summary>
    /// <returns>Null, or what the linker says about the first symbol or library that is missing.</returns>
    public static string? BindNow(string path) =>
        dlopen(path, Now) == 0 ? Marshal.PtrToStringUTF8(dlerror()) ?? "no reason is given" : null;

    [LibraryImport("libdl.so.2", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint dlopen(string path, int flags);

    [LibraryImport("libdl.so.2")]
    private static partial nint dlerror();
}
