using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Case "plain" of a forward fixture: one encoder pass, one conditioned decoder pass.</summary>
internal sealed class PlainCase(string checkpoint)
{
    public (Tensor EncoderHidden, Tensor Logits) Run(DiffusionGemmaModel model)
    {
        using IDisposable quiet = no_grad();
        using SafetensorsFile fixture = SafetensorsFile.Open(Fixtures.Path("forward", $"{checkpoint}.safetensors"));
        using var scope = NewDisposeScope();
        using EncoderCache cache = model.Encode(fixture.Read("plain.prompt_ids"));
        Tensor logits = model.Decode(fixture.Read("plain.canvas_ids"), cache, fixture.Read("plain.sc_logits").to(model.DType));
        return (cache.LastHiddenState.clone().MoveToOuterDisposeScope(), logits.MoveToOuterDisposeScope());
    }
}
