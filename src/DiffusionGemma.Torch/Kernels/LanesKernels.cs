namespace DiffusionGemma;

/// <inheritdoc/>
internal sealed unsafe class LanesKernels<L> : VectorKernels
    where L : struct, ILanes<L>
{
    public override int Count => L.Count;

    public override int Outputs => DotProducts<L>.Outputs;

    public override int Columns => TileProducts<L>.Columns;

    public override long RowBlock => TileProducts<L>.RowBlock;

    public override void Linear(float* x, long rows, float* w, long outputs, long inputs, float* y, long stride) =>
        DotProducts<L>.Run(x, rows, w, outputs, inputs, y, stride);

    public override void AddProduct(
        float* a, long rowStride, long innerStride, long rows, long inner, float* b, long bStride, long columns, float* y, long stride) =>
        TileProducts<L>.Run(a, rowStride, innerStride, rows, inner, b, bStride, columns, y, stride);

    public override void RmsNorm(float* x, float* w, float* y, long width, double epsilon) =>
        RmsNormRows<L>.Forward(x, w, y, width, epsilon);

    public override void RmsNormBackward(float* x, float* g, float* w, float* dx, float* dw, long width, double epsilon) =>
        RmsNormRows<L>.Backward(x, g, w, dx, dw, width, epsilon);

    public override void GatedGelu(float* gate, float* up, float* y, float weight, long width) =>
        GatedGeluRows<L>.Forward(gate, up, y, weight, width);

    public override float GatedGeluBackward(float* dy, float* gate, float* up, float weight, float* dGate, float* dUp, long width) =>
        GatedGeluRows<L>.Backward(dy, gate, up, weight, dGate, dUp, width);

    public override void Rotate(float* x, float* cos, float* sin, float* y, long half, bool transposed) =>
        RotationRows<L>.Rotate(x, cos, sin, y, half, transposed);

    public override double CappedCrossEntropy(float* z, float* weights, long columns, long target, double cap, bool withGradient) =>
        CrossEntropyRows<L>.Loss(z, weights, columns, target, cap, withGradient);

    public override (double Total, double Entropy) CappedSoftmax(float* x, long columns, float scale, out int largest) =>
        CappedSoftmaxRows<L>.Weights(x, columns, scale, out largest);
}
