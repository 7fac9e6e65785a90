using System.Text;

namespace DiffusionGemma;

/// <summary>UTF-8 that throws on invalid text, where the default encoding would write a replacement character.</summary>
internal static class StrictUtf8
{
    public static UTF8Encoding Instance { get; } = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);
}
