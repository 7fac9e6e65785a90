namespace DiffusionGemma;

/// <summary>What the model gave for one row; or why it gave nothing.</summary>
internal sealed record Answer(string Text, int[] Ids, float TokensPerForward, int Steps, string Error = "")
{
    public static Answer Failed(string reason) => new("", [], 0, 0, reason);
}

/// <summary>What a row asks: its prompt, where it stands, and what is wrong with it if anything is.</summary>
internal readonly record struct Question(int[] Prompt, ChatPosition Position, string? Fault);
