namespace DiffusionGemma;

/// <summary>A logit that is not a finite number, which damaged weights or a damaged adapter cause.</summary>
public sealed class NotFiniteLogitException : InvalidOperationException
{
    internal NotFiniteLogitException(int row, int canvas, int step)
        : base($"Row {row}, canvas {canvas}, step {step}: {Fault}")
    {
        Row = row;
        Canvas = canvas;
        Step = step;
    }

    private const string Fault = "a logit is not a finite number. Are the weights, or the adapter, damaged?";

    /// <summary>The row of the call, counted from 0.</summary>
    public int Row { get; }

    /// <summary>The row's canvas, counted from 0.</summary>
    public int Canvas { get; }

    /// <summary>The canvas's denoising step, counted from 0.</summary>
    public int Step { get; }

    /// <summary>The fault with canvas and step, without the row.</summary>
    public string Reason => $"canvas {Canvas}, step {Step}: {Fault}";
}
