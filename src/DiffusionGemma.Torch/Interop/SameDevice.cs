using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Refuses operands on different devices. Many operators of libtorch do by themselves; its products on <c>meta</c> do not.
/// </summary>
internal static class SameDevice
{
    /// <summary>Checks operands; null ones are left out.</summary>
    /// <exception cref="InvalidOperationException">Two lie on different devices.</exception>
    public static void Require(params ReadOnlySpan<Tensor?> operands)
    {
        DeviceType? common = null;
        foreach (Tensor? operand in operands)
            if (operand is not null) common = Next(common, operand);
    }

    /// <summary>Checks one operand against the device of those before it.</summary>
    /// <param name="common">The device of those before it; null: there is none.</param>
    /// <param name="operand">The next operand.</param>
    /// <returns>Its device.</returns>
    /// <exception cref="InvalidOperationException">It lies on another device.</exception>
    public static DeviceType Next(DeviceType? common, Tensor operand)
    {
        DeviceType device = operand.device_type;
        if (common is { } other && other != device)
            throw new InvalidOperationException(
                $"Operands of one operation lie on the devices {other} and {device}: move them to one device first.");
        return device;
    }
}
