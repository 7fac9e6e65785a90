using System.Text;

namespace DiffusionGemma;

/// <summary>UTF-8 that refuses what is no text where the usual encoding would write a replacement character in silence.</summary>
internal static class StrictUtf8
{
    public static UTF8Encoding Instance { get; } = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);
}
