namespace DiffusionGemma;

/// <summary>What the model gave for one row; or why it gave nothing.</summary>
internal sealed record Answer(string Text, int[] Ids, float TokensPerForward, int Steps, ChatDataException? Fault = null)
{
    /// <summary>The reason without the place; empty where there is an answer.</summary>
    public string Error => Fault?.Reason ?? "";

    /// <exception cref="ChatDataException">The row cannot be answered, and the options say that this is an error.</exception>
    public Answer OrThrow(AnswerOptions options) => Fault is null || options.GivesErrors ? this : throw Fault;

    public static Answer Failed(ChatDataException fault) => new("", [], 0, 0, fault);
}

/// <summary>What a row asks: its prompt, where it stands, and what is wrong with it if anything is.</summary>
internal readonly record struct Question(int[] Prompt, ChatPosition Position, ChatDataException? Fault = null);
