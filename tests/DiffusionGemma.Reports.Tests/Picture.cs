using SkiaSharp;

namespace DiffusionGemma;

/// <summary>A decoded png file.</summary>
internal sealed class Picture
{
    private readonly SKColor[] _pixels;

    public Picture(string path)
    {
        using SKBitmap bitmap = SKBitmap.Decode(path);
        (Width, Height, _pixels) = (bitmap.Width, bitmap.Height, bitmap.Pixels);
    }

    public int Width { get; }

    public int Height { get; }

    /// <summary>Pixels that look like a colour in one chart of the figure, from 0 in reading order.</summary>
    public int Count(int panel, Func<SKColor, bool> isColour) => Places(panel, isColour).Count();

    /// <summary>The mean height, from the bottom of the chart, of the pixels in the left and in the right third that look like a
    /// colour.</summary>
    public (double Left, double Right) Heights(int panel, Func<SKColor, bool> isColour)
    {
        (int X, int Y)[] places = [.. Places(panel, isColour)];
        int third = Width / 9;
        double Mean(Func<int, bool> isInside) => places.Where(place => isInside(place.X)).Average(place => Height / 2 - (double)place.Y);
        return (Mean(x => x < third), Mean(x => x >= 2 * third));
    }

    public static bool IsBlue(SKColor colour) => colour.Blue > colour.Red + 40;

    public static bool IsOrange(SKColor colour) => colour.Red > 200 && colour.Green is > 90 and < 200 && colour.Blue < 110;

    public static bool IsRed(SKColor colour) => colour.Red > 200 && colour.Green < 120 && colour.Blue < 120;

    public static bool IsColoured(SKColor colour) =>
        Math.Max(colour.Red, Math.Max(colour.Green, colour.Blue)) - Math.Min(colour.Red, Math.Min(colour.Green, colour.Blue)) > 40;

    private IEnumerable<(int X, int Y)> Places(int panel, Func<SKColor, bool> isColour)
    {
        int width = Width / 3, height = Height / 2, left = panel % 3 * width, top = panel / 3 * height;
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++)
                if (isColour(_pixels[(top + y) * Width + left + x])) yield return (x, y);
    }
}
