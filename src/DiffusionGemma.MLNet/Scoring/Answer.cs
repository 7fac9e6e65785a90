namespace DiffusionGemma;

/// <summary>The model's answer for one row, or the fault that prevented it.</summary>
internal sealed record Answer(string Text, int[] Ids, float TokensPerForward, int Steps, ChatDataException? Fault = null)
{
    /// <summary>The reason without the place; empty where there is an answer.</summary>
    public string Error => Fault?.Reason ?? "";

    /// <exception cref="ChatDataException">The row cannot be answered, and the options say that this is an error.</exception>
    public Answer OrThrow(AnswerOptions options) => Fault is null || options.GivesErrors ? this : throw Fault;

    public static Answer Failed(ChatDataException fault) => new("", [], 0, 0, fault);
}
