using static TorchSharp.torch;

namespace DiffusionGemma.Samples;

/// <summary>The tokens of a canvas at one moment of denoising.</summary>
/// <param name="Ids">[C]: token ids.</param>
/// <param name="Settled">[C]: true where the sampler accepted the token; elsewhere it is uniformly random.</param>
internal sealed record CanvasFrame(int[] Ids, bool[] Settled);

/// <summary>Supplies the noise of one answer, and records what its first canvas holds before the first pass and after every pass.</summary>
internal sealed class CanvasRecording(ulong seed) : INoiseSource, IProgress<DenoisingStep>
{
    private readonly Generator _generator = new(seed);
    private readonly List<CanvasFrame> _frames = [];
    private int[] _random = [], _proposed = [];

    public IReadOnlyList<CanvasFrame> Frames => _frames;

    public Tensor Canvas(int rows, int canvasLength, int vocabularySize)
    {
        Tensor drawn = randint(0, vocabularySize, [rows, canvasLength], generator: _generator);
        _random = Ids(drawn);
        if (_frames.Count == 0) _frames.Add(new CanvasFrame(_random, new bool[canvasLength]));
        return drawn;
    }

    public Tensor Sample(Tensor probabilities)
    {
        (long rows, long canvas, long vocabulary) = (probabilities.shape[0], probabilities.shape[1], probabilities.shape[2]);
        Tensor drawn = multinomial(probabilities.reshape(rows * canvas, vocabulary), 1, generator: _generator).reshape(rows, canvas);
        _proposed = Ids(drawn);
        return drawn;
    }

    public void Report(DenoisingStep value)
    {
        if (value.Canvas > 0) return;
        if (value.Finished)
        {
            _frames.Add(new CanvasFrame([.. value.Draft], [.. value.Draft.Select(_ => true)]));
            return;
        }
        int[] ids = [.. value.Settled.Select((settled, at) => settled ? _proposed[at] : _random[at])];
        _frames.Add(new CanvasFrame(ids, [.. value.Settled]));
    }

    private static int[] Ids(Tensor ids) => Array.ConvertAll(ids.cpu().data<long>().ToArray(), id => (int)id);
}
