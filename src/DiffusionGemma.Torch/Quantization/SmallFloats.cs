namespace DiffusionGemma;

/// <summary>Numbers of four and eight bits as float32, by their codes.</summary>
internal static class SmallFloats
{
    /// <summary>2¹²⁰: a Float8's exponent and mantissa, in their places of a float32, are the number divided by it.</summary>
    public const float Float8Unit = 1329227995784915872903807060280344576f;

    /// <summary>The sixteen numbers of 1 sign, 2 exponent and 1 mantissa bits.</summary>
    public static ReadOnlySpan<float> Float4 => [0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0f, -0.5f, -1, -1.5f, -2, -3, -4, -6];

    /// <summary>The number of 1 sign, 4 exponent and 3 mantissa bits; 0x7F and 0xFF are no numbers.</summary>
    public static float Float8(byte code)
    {
        if ((code & 0x7F) == 0x7F) return float.NaN;
        float magnitude = BitConverter.Int32BitsToSingle((code & 0x7F) << 20) * Float8Unit;
        return (code & 0x80) == 0 ? magnitude : -magnitude;
    }

    /// <summary>2^(code - 127); 255 is no number.</summary>
    public static float PowerOfTwo(byte code) =>
        code switch { 255 => float.NaN, 0 => BitConverter.Int32BitsToSingle(1 << 22), _ => BitConverter.Int32BitsToSingle(code << 23) };

    /// <summary>The bfloat16 number of these bits.</summary>
    public static float BFloat16(ushort bits) => BitConverter.Int32BitsToSingle(bits << 16);
}
