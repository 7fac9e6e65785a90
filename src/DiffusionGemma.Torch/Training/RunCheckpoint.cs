using System.Globalization;
using System.Text.Json;
using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Checkpoints of a run: folders step-NNNNNN with state.json (steps done, what the run is, its history) and state.safetensors (weights and
/// both moments). A folder is written under a hidden name and renamed, and renamed before it is deleted: what has its name is whole.
/// </summary>
internal sealed class RunCheckpoint(RunCheckpointOptions options, IReadOnlyDictionary<string, string> identity)
{
    private const string Prefix = "step-", Hidden = ".run-", StateFile = "state.json", TensorFile = "state.safetensors";
    private static readonly JsonSerializerOptions Json = new() { WriteIndented = true };

    /// <summary>Writes one, and removes those that are no longer kept.</summary>
    /// <exception cref="TrainingException">The folder cannot be written; earlier checkpoints are as they were.</exception>
    public void Save(int steps, IReadOnlyList<StepRecord> history, IReadOnlyList<string> names, AdamW optimizer)
    {
        string target = Path.Combine(options.Folder, $"{Prefix}{steps:D6}"), staging = NewHidden();
        if (Directory.Exists(target)) return;                            // a cancellation right after a checkpoint in turn
        try
        {
            Directory.CreateDirectory(staging);
            var tensors = new Dictionary<string, Tensor>();
            foreach ((string name, (Tensor master, Tensor first, Tensor second)) in names.Zip(optimizer.State()))
                (tensors[$"weight.{name}"], tensors[$"first.{name}"], tensors[$"second.{name}"]) = (master, first, second);
            SafetensorsFile.Write(Path.Combine(staging, TensorFile), tensors);
            File.WriteAllText(Path.Combine(staging, StateFile), JsonSerializer.Serialize(new State(steps, new(identity), [.. history]), Json));
            Directory.Move(staging, target);
            foreach ((_, string folder) in Existing(options.Folder).OrderByDescending(c => c.Steps).Skip(options.Keep)) Remove(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TrainingException($"{target}: the run's checkpoint cannot be written ({e.Message}). Make room, or name another folder in FineTuneOptions.Checkpoints.", e);
        }
    }

    /// <summary>Puts the state of the checkpoint to be resumed in place; null where the run starts anew.</summary>
    /// <exception cref="TrainingException">There is no such checkpoint, it is damaged, or it is another run's.</exception>
    public IReadOnlyList<StepRecord>? Restore(IReadOnlyList<string> names, AdamW optimizer)
    {
        foreach (string left in Directory.Exists(options.Folder) ? Directory.EnumerateDirectories(options.Folder, Hidden + "*") : []) Remove(left);
        (int Steps, string Folder)[] existing = [.. Existing(options.Folder)];
        if (options.Resume is null)
        {
            if (existing.Length > 0)
                throw new TrainingException($"{options.Folder} holds checkpoints of an earlier run: set Checkpoints.Resume to \"{RunCheckpointOptions.Latest}\" to go on with it, or name another folder.");
            return null;
        }
        if (options.Resume == RunCheckpointOptions.Latest && existing.Length == 0) return null;
        string folder = options.Resume == RunCheckpointOptions.Latest ? existing.MaxBy(c => c.Steps).Folder : options.Resume;
        try
        {
            State state = JsonSerializer.Deserialize<State>(File.ReadAllText(Path.Combine(folder, StateFile)))
                ?? throw new JsonException("it is empty");
            if (RunIdentity.Difference(state.Identity, identity, options.AcceptChanged) is (string option, string was, string now))
                throw new TrainingException(
                    $"{folder} cannot be resumed: {option} was {was} and is {now} now, so the losses would not be those of one run. Set it back, or name "
                    + $"\"{option}\" in FineTuneOptions.Checkpoints.AcceptChanged.");
            using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(folder, TensorFile));
            foreach ((string name, (Tensor master, Tensor first, Tensor second)) in names.Zip(optimizer.State()))
                foreach ((string kind, Tensor tensor) in new[] { ("weight", master), ("first", first), ("second", second) })
                {
                    string key = $"{kind}.{name}";
                    if (!file.Tensors.TryGetValue(key, out TensorInfo? info) || !info.Shape.SequenceEqual(tensor.shape))
                        throw new TrainingException($"{folder} cannot be resumed: its '{key}' is missing or of another shape.");
                    using IDisposable quiet = no_grad();
                    using Tensor value = file.Read(key);
                    tensor.copy_(value);
                }
            optimizer.Restored(state.Steps);
            return state.History;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            throw new TrainingException($"{folder} cannot be resumed: {e.Message} Name another checkpoint in FineTuneOptions.Checkpoints.Resume.", e);
        }
    }

    private static IEnumerable<(int Steps, string Folder)> Existing(string folder) =>
        from path in Directory.Exists(folder) ? Directory.EnumerateDirectories(folder, Prefix + "*") : []
        let number = Path.GetFileName(path)[Prefix.Length..]
        where int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out _)
        select (int.Parse(number, CultureInfo.InvariantCulture), path);

    private string NewHidden() => Path.Combine(options.Folder, $"{Hidden}{Guid.NewGuid():N}");

    private void Remove(string folder)
    {
        string hidden = NewHidden();
        Directory.Move(folder, hidden);
        Directory.Delete(hidden, recursive: true);
    }

    private sealed record State(int Steps, Dictionary<string, string> Identity, StepRecord[] History);
}
