using TorchSharp;
using TorchSharp.Modules;

namespace DiffusionGemma;

/// <summary>Scalars of a run in an event file of TensorBoard's, written by TorchSharp.</summary>
internal sealed class EventFile
{
    private readonly SummaryWriter _writer;

    /// <summary>Begins a new event file in a folder.</summary>
    /// <param name="folder">The log folder. Event files that lie in it move to a folder earlier-N below it, which TensorBoard shows as a
    /// run of its own: the new file begins with the run's first step.</param>
    public EventFile(string folder)
    {
        Directory.CreateDirectory(folder);
        string[] earlier = Directory.GetFiles(folder, "events.out.tfevents.*");
        if (earlier.Length > 0)
        {
            int n = 1;
            while (Directory.Exists(Path.Combine(folder, $"earlier-{n}"))) n++;
            string aside = Directory.CreateDirectory(Path.Combine(folder, $"earlier-{n}")).FullName;
            foreach (string file in earlier) File.Move(file, Path.Combine(aside, Path.GetFileName(file)));
        }
        _writer = torch.utils.tensorboard.SummaryWriter(folder, createRunName: false);
    }

    /// <summary>Adds a step, at the number of steps done after it.</summary>
    public void Add(StepRecord step)
    {
        int at = step.Step + 1;
        Add("loss/total", step.Loss, at);
        Add("loss/diffusion", step.DiffusionLoss, at);
        Add("loss/encoder", step.EncoderLoss, at);
        Add("optimizer/gradient_norm", step.GradientNorm, at);
        Add("optimizer/learning_rate", step.LearningRate, at);
        Add("speed/tokens_per_second", step.TokensPerSecond, at);
        Add("speed/peak_memory_bytes", step.PeakBytes, at);
    }

    /// <summary>Adds an evaluation.</summary>
    public void Add(EvaluationRecord evaluation)
    {
        Add("held_out/diffusion_loss", evaluation.DiffusionLoss, evaluation.Step);
        Add("held_out/encoder_loss", evaluation.EncoderLoss, evaluation.Step);
        int levels = evaluation.DiffusionLossByNoise.Count;
        for (int level = 0; level < levels; level++)
            Add($"held_out_by_noise/{NoiseLevel.Name(level, levels)}", evaluation.DiffusionLossByNoise[level], evaluation.Step);
    }

    private void Add(string tag, double value, int step) => _writer.add_scalar(tag, (float)value, step);
}
