namespace DiffusionGemma;

/// <summary>Names of the steps that make columns, for errors.</summary>
internal static class StepNames
{
    public const string Load = "A LoadChatFrom... method of ml.Data",
        TokenizeChat = nameof(DiffusionGemma) + ".TokenizeChat", MaskResponse = nameof(DiffusionGemma) + ".MaskResponse",
        PackCanvas = nameof(DiffusionGemma) + ".PackCanvas";
}
