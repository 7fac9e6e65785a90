using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Keys and values of one layer, [B,kv,S,D] each.</summary>
internal sealed record KeyValues(Tensor Keys, Tensor Values)
{
    /// <summary>Concatenates these and newer ones along the positions.</summary>
    public KeyValues Concatenate(KeyValues newer) => new(cat([Keys, newer.Keys], 2), cat([Values, newer.Values], 2));

    /// <summary>Repeats each head <paramref name="times"/> times in turn: [B,kv · times,S,D] each.</summary>
    public KeyValues Repeated(long times) => new(FusedAttention.RepeatHeads(Keys, times), FusedAttention.RepeatHeads(Values, times));
}
