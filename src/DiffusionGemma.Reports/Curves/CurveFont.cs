using SkiaSharp;

namespace DiffusionGemma;

/// <summary>The font of the charts: one without serifs, where the machine has one.</summary>
internal static class CurveFont
{
    private static readonly string[] Preferred = ["DejaVu Sans", "Liberation Sans", "Noto Sans", "Segoe UI", "Helvetica", "Arial"];

    /// <summary>The name of an installed font; null: the default.</summary>
    public static string? Name => Preferred.FirstOrDefault(SKFontManager.Default.FontFamilies.Contains);
}
