// An MSBuild task, compiled by the build that runs it (RoslynCodeTaskFactory): C# 7, netstandard2.0.
using System;
using System.Collections.Generic;
using System.IO;
using System.Text;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

/// <summary>
/// Makes mended copies of TorchSharp.dll and libLibTorchSharp.so where they need it, and hands them back with the metadata of the items
/// that they stand in for. What needs nothing is not in <see cref="Mended"/>. The packages' own files are never touched.
/// </summary>
public class MendTorchSharp : Task
{
    [Required] public ITaskItem[] Files { get; set; }

    /// <summary>Where the mended copies go (below the project's intermediate folder).</summary>
    [Required] public string OutputFolder { get; set; }

    [Output] public ITaskItem[] Replaced { get; set; }

    [Output] public ITaskItem[] Mended { get; set; }

    public override bool Execute()
    {
        var replaced = new List<ITaskItem>();
        var mended = new List<ITaskItem>();
        foreach (ITaskItem item in Files)
        {
            string source = item.GetMetadata("FullPath"), name = Path.GetFileName(source);
            byte[] bytes;
            try
            {
                bytes = File.ReadAllBytes(source);
                if (!(name == "TorchSharp.dll" ? DisableJitOptimizations(bytes) : WeakenNewestGlibcxx(bytes))) continue;
            }
            catch (Exception e) when (e is IndexOutOfRangeException || e is ArgumentException || e is InvalidDataException)
            {
                Log.LogError("TorchSharp cannot be mended: " + source + " is not laid out as expected (" + e.Message + "). Restore TorchSharp 0.107.0 anew.");
                return false;
            }
            string target = Path.Combine(OutputFolder, name);
            if (!Same(target, bytes))
            {
                Directory.CreateDirectory(OutputFolder);
                string temporary = target + "." + Guid.NewGuid().ToString("N");       // two targets of one build may come here at once
                File.WriteAllBytes(temporary, bytes);
                if (File.Exists(target)) File.Delete(target);
                File.Move(temporary, target);
            }
            var copy = new TaskItem(target);
            item.CopyMetadataTo(copy);
            replaced.Add(item);
            mended.Add(copy);
        }
        Replaced = replaced.ToArray();
        Mended = mended.ToArray();
        return !Log.HasLoggedErrors;
    }

    private static bool Same(string path, byte[] bytes)
    {
        if (!File.Exists(path) || new FileInfo(path).Length != bytes.Length) return false;
        byte[] there = File.ReadAllBytes(path);
        for (int i = 0; i < bytes.Length; i++) if (there[i] != bytes[i]) return false;
        return true;
    }

    /// <summary>
    /// TorchSharp passes raw handles to native code without keeping their managed owners alive, so a collection during a native call frees
    /// what the call uses. In an assembly that is marked "do not optimise" the JIT keeps every argument and local alive to the end of its
    /// method. The mark is one number in DebuggableAttribute's value: a blob of 8 bytes, 01 00 | DebuggingModes | 00 00.
    /// 0x101 (Default | DisableOptimizations) and not 0x103: the compiler shares that blob with seven UnmanagedFunctionPointer(Cdecl = 2)
    /// attributes; where a calling convention is read from it, the low byte 1 is the platform's own (Winapi), which 64-bit systems use anyway.
    /// </summary>
    private static bool DisableJitOptimizations(byte[] b)
    {
        int blob = BlobHeap(b, out int end);
        for (int at = blob, length; at < end; at += length)
        {
            int head = Compressed(b, at, out length);
            if (length == 8 && b[at + head] == 1 && b[at + head + 1] == 0 && b[at + head + 2] == 2 && b[at + head + 3] == 0
                && b[at + head + 4] == 0 && b[at + head + 5] == 0 && b[at + head + 6] == 0 && b[at + head + 7] == 0)
            {
                b[at + head + 2] = 0x01;
                b[at + head + 3] = 0x01;
                return true;
            }
            length += head;
        }
        return false;
    }

    /// <summary>Start and end of the metadata stream "#Blob" (ECMA-335 II.24.2).</summary>
    private static int BlobHeap(byte[] b, out int end)
    {
        int pe = I4(b, 0x3C), sections = U2(b, pe + 6), optional = pe + 24, table = optional + U2(b, pe + 20);
        Func<int, int> offset = rva =>
        {
            for (int i = 0; i < sections; i++)
            {
                int s = table + 40 * i, start = I4(b, s + 12);
                if (rva >= start && rva < start + Math.Max(I4(b, s + 8), I4(b, s + 16))) return rva - start + I4(b, s + 20);
            }
            throw new InvalidDataException("an address outside every section");
        };
        int cli = offset(I4(b, optional + (U2(b, optional) == 0x20B ? 112 : 96) + 14 * 8));
        int metadata = offset(I4(b, cli + 8)), streams = metadata + 16 + I4(b, metadata + 12);
        for (int i = 0, at = streams + 4; i < U2(b, streams + 2); i++)
        {
            int nameEnd = at + 8;
            while (b[nameEnd] != 0) nameEnd++;
            if (Encoding.ASCII.GetString(b, at + 8, nameEnd - at - 8) == "#Blob")
            {
                end = metadata + I4(b, at) + I4(b, at + 4);
                return metadata + I4(b, at);
            }
            at += 8 + ((nameEnd - at - 8 + 4) & ~3);
        }
        throw new InvalidDataException("no blob heap");
    }

    /// <summary>A compressed unsigned number (ECMA-335 II.23.2); the result is the number of bytes that it takes.</summary>
    private static int Compressed(byte[] b, int at, out int value)
    {
        if ((b[at] & 0x80) == 0) { value = b[at]; return 1; }
        if ((b[at] & 0x40) == 0) { value = (b[at] & 0x3F) << 8 | b[at + 1]; return 2; }
        value = (b[at] & 0x1F) << 24 | b[at + 1] << 16 | b[at + 2] << 8 | b[at + 3];
        return 4;
    }

    /// <summary>
    /// libLibTorchSharp.so names GLIBCXX_3.4.32 (GCC 13) among the versions it needs, but no symbol of it does: marked weak
    /// (VER_FLG_WEAK), the record no longer keeps the library from loading where libstdc++ is older. 64-bit little-endian ELF.
    /// </summary>
    private static bool WeakenNewestGlibcxx(byte[] b)
    {
        if (b.Length < 64 || b[0] != 0x7F || b[1] != 'E' || b[2] != 'L' || b[3] != 'F' || b[4] != 2 || b[5] != 1) return false;
        bool changed = false;
        long sections = I8(b, 0x28);
        int size = U2(b, 0x3A), count = U2(b, 0x3C);
        for (int i = 0; i < count; i++)
        {
            long section = sections + (long)i * size;
            if ((uint)I4(b, section + 4) != 0x6FFFFFFE) continue;                       // SHT_GNU_verneed
            long need = I8(b, section + 0x18), strings = I8(b, sections + (long)I4(b, section + 0x28) * size + 0x18);
            for (int files = I4(b, section + 0x2C); files > 0; files--, need += I4(b, need + 12))
            {
                long version = need + I4(b, need + 8);
                for (int versions = U2(b, need + 2); versions > 0; versions--, version += I4(b, version + 12))
                {
                    if (Text(b, strings + I4(b, version + 8)) != "GLIBCXX_3.4.32" || (b[version + 4] & 2) != 0) continue;
                    b[version + 4] |= 2;                                                  // VER_FLG_WEAK
                    changed = true;
                }
            }
        }
        return changed;
    }

    private static string Text(byte[] b, long at)
    {
        var text = new StringBuilder();
        for (; b[at] != 0; at++) text.Append((char)b[at]);
        return text.ToString();
    }

    private static ushort U2(byte[] b, long at) { return BitConverter.ToUInt16(b, (int)at); }

    private static int I4(byte[] b, long at) { return BitConverter.ToInt32(b, (int)at); }

    private static long I8(byte[] b, long at) { return BitConverter.ToInt64(b, (int)at); }
}
