using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Checkpoints of a run: folders step-NNNNNN with state.json (<see cref="RunState"/>), state.safetensors (weights, both moments and,
/// where they are kept, the best weights) and the digests of both (<see cref="Checksums"/>). A folder is written under a hidden name and
/// renamed, and renamed before it is deleted: a folder with that name is whole. Tensors are whole in it, gathered one at a time from
/// however many ranks: a run may be resumed on more ranks, or fewer. The first rank writes; all read, so they must all see the folder.
/// </summary>
internal sealed class RunCheckpoint : IDisposable
{
    private const string Prefix = "step-", Hidden = ".run-", StateFile = "state.json", TensorFile = "state.safetensors";
    private static readonly JsonSerializerOptions Json =
        new()
        {
            WriteIndented = true, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals, RespectNullableAnnotations = true,
        };
    private readonly RunCheckpointOptions _options;
    private readonly IReadOnlyDictionary<string, string> _identity;
    private readonly IReadOnlyList<TrainedParameter> _trained;
    private readonly AdamW _optimizer;
    private readonly BestWeights _best;
    private readonly Action<string> _notify;
    private readonly RankGroups _ranks;
    private readonly RunFolderLock? _lock;

    /// <summary>Takes the folder for this run.</summary>
    /// <exception cref="TrainingException">Another run holds it, or it cannot be written to.</exception>
    public RunCheckpoint(
        RunCheckpointOptions options, IReadOnlyDictionary<string, string> identity, IReadOnlyList<TrainedParameter> trained,
        AdamW optimizer, BestWeights best, Action<string> notify,
        RankGroups ranks)
    {
        (_options, _identity, _trained, _optimizer, _best, _notify, _ranks) = (options, identity, trained, optimizer, best, notify, ranks);
        _lock = ranks.IsFirst ? new RunFolderLock(options.Folder) : null;
    }

    /// <summary>Writes one, and removes those that are no longer kept. A collective.</summary>
    /// <exception cref="TrainingException">On the first rank: the folder cannot be written; earlier checkpoints are as they
    /// were.</exception>
    public void Save(RunHistory history)
    {
        using var scope = NewDisposeScope();
        _ranks.World.Activity = $"checkpoint after {history.Count} steps";
        Slot[] slots = [.. Slots(withBest: true)];
        ParameterGather.Run(_ranks, n => (slots[n].Numbers.flatten(), slots[n].First, slots[n].Parameter), whole =>
            Write(history, slots, whole));
    }

    private void Write(RunHistory history, Slot[] slots, Func<int, Tensor> whole)
    {
        string target = Path.Combine(_options.Folder, $"{Prefix}{history.Count:D6}"), staging = NewHidden();
        if (Directory.Exists(target)) return;                            // cancelled right after a checkpoint that was due
        TensorSource Source(Slot slot, int n) => _ranks.World.Size == 1 ? TensorSource.FromTensor(slot.Key, slot.Numbers)
            : new TensorSource(slot.Key, slot.Numbers.dtype, Shape(slot), stream =>
        {
            using var scope = NewDisposeScope();
            TensorSource.FromTensor(slot.Key, whole(n)).WriteTo(stream);
        });
        try
        {
            Directory.CreateDirectory(staging);
            var sums = new Checksums();
            sums.Add(
                TensorFile, SafetensorsWriter.Write(Path.Combine(staging, TensorFile), [.. slots.Select(Source)], metadata: null));
            using (FileStream state = File.Create(Path.Combine(staging, StateFile)))
            {
                JsonSerializer.Serialize(
                    state, new RunState(
                        history.Count, get_num_threads(), new(_identity), [.. history], [.. history.Evaluations], _ranks.World.Size), Json);
                state.Flush(flushToDisk: true);
            }
            sums.Complete(staging);
            Directory.Move(staging, target);
            foreach ((_, string folder) in Existing().OrderByDescending(c => c.Steps).Skip(_options.Keep)) Remove(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            DropHidden();                                                // a partial checkpoint takes room
            throw new TrainingException(
                $"{target}: the run's checkpoint cannot be written ({e.Message}). Make room, or name another folder in "
                    + "FineTuneOptions.Checkpoints.", e)
            { Path = target };
        }
    }

    /// <summary>Puts the state of the checkpoint to be resumed in place; null where the run starts anew. A collective.</summary>
    /// <exception cref="TrainingException">There is no such checkpoint, it is damaged, or it is another run's.</exception>
    public RunState? Restore()
    {
        RunIdentity.RequireKnown(_options.AcceptChanged, _identity);
        if (_ranks.IsFirst) DropHidden();
        _ranks.World.Barrier();
        RunState? state = ReadResumed();
        if (_ranks.Sum(state?.Steps ?? -1)[0] != (state?.Steps ?? -1) * (double)_ranks.World.Size)
            throw new TrainingException(
                $"Ranks see different checkpoints in {_options.Folder}: it must be one folder, which all of them can read.")
            {
                Path = _options.Folder,
            };
        return state;
    }

    /// <summary>Reads the checkpoint that the options resume; null where the run starts anew.</summary>
    private RunState? ReadResumed()
    {
        (int Steps, string Folder)[] existing = [.. Existing().OrderByDescending(c => c.Steps)];
        if (_options.Resume is null && existing.Length > 0)
            throw new TrainingException(
                $"{_options.Folder} holds checkpoints of an earlier run: set Checkpoints.Resume to \"{RunCheckpointOptions.Latest}\" to "
                    + "go on with it, or name another folder.")
            { Path = _options.Folder, Option = "FineTuneOptions.Checkpoints.Resume" };
        if (_options.Resume is null || _options.Resume == RunCheckpointOptions.Latest && existing.Length == 0) return null;
        (RunState state, string folder) = _options.Resume == RunCheckpointOptions.Latest ? Newest(existing) : Named(existing);
        _ranks.World.Barrier();                                          // no rank is still listing the folder
        if (_ranks.IsFirst) SetAside(existing.Where(c => c.Steps > state.Steps));
        _notify($"Resumed from {folder}, after {state.Steps} steps.");
        if (state.Threads != get_num_threads())
            _notify(
                $"The run was on {state.Threads} threads and is on {get_num_threads()} now: its losses agree with an undisturbed run's "
                    + "to rounding, not to the last bit.");
        if (state.Ranks != _ranks.World.Size)
            _notify(
                $"The run was on {state.Ranks} ranks and is on {_ranks.World.Size} now: its losses agree with an undisturbed run's to "
                    + "rounding, not to the last bit.");
        return state;
    }

    public void Dispose() => _lock?.Dispose();

    private (RunState State, string Folder) Newest((int Steps, string Folder)[] existing)
    {
        var damages = new List<string>();
        foreach ((_, string folder) in existing)
            try
            {
                RunState state = Read(folder);
                foreach (string damage in damages) _notify($"{damage} An older checkpoint takes its place.");
                return (state, folder);
            }
            catch (DamagedException e)
            {
                damages.Add(e.Message);
            }
        throw new TrainingException(
            $"{damages[0]} No other checkpoint in {_options.Folder} is whole. Name another folder in FineTuneOptions.Checkpoints to "
                + "start anew.")
        { Path = _options.Folder };
    }

    private (RunState State, string Folder) Named((int Steps, string Folder)[] existing)
    {
        string folder = _options.Resume!, below = Path.Combine(_options.Folder, folder);
        if (!Directory.Exists(folder) && Directory.Exists(below)) folder = below;
        string full = Path.GetFullPath(Path.TrimEndingDirectorySeparator(folder));
        if (existing.Length > 0 && !existing.Any(c => Path.GetFullPath(c.Folder) == full))
        {
            string names = string.Join(", ", existing.Select(c => Path.GetFileName(c.Folder)));
            throw new TrainingException(
                $"{folder} cannot be resumed into {_options.Folder}, which holds checkpoints of its own ({names}): name one of them, or "
                + "another folder in FineTuneOptions.Checkpoints.")
            {
                Path = folder,
                Option = "FineTuneOptions.Checkpoints.Resume",
            };
        }
        try
        {
            return (Read(folder), folder);
        }
        catch (DamagedException e)
        {
            throw new TrainingException(
                $"{e.Message} Name another checkpoint in FineTuneOptions.Checkpoints.Resume, or \"{RunCheckpointOptions.Latest}\".", e)
            {
                Path = folder,
                Option = "FineTuneOptions.Checkpoints.Resume",
            };
        }
    }

    /// <exception cref="DamagedException">It is not there or not whole. A collective.</exception>
    private RunState Read(string folder)
    {
        // One rank reads every byte for all; a checkpoint of an earlier version has no digests, and is taken as it is.
        string? damage = _ranks.IsFirst ? Checksums.FindDamage(folder) : null;
        if (_ranks.Any(damage is not null))
            throw new DamagedException(
                $"{folder} cannot be resumed: it is damaged (it {damage ?? "has a file that the first rank found damaged"}).", null)
            {
                Path = folder,
            };
        try
        {
            RunState state = ReadState(Path.Combine(folder, StateFile));
            string[] changed = [.. RunIdentity.Differences(state.Identity, _identity, _options.AcceptChanged)];
            if (changed.Length > 0)
                throw new TrainingException(
                    $"{folder} cannot be resumed: {string.Join("; ", changed)}. The losses would not be those of one run. Set it back, "
                    + "or name what may differ in FineTuneOptions.Checkpoints.AcceptChanged.")
                { Path = folder, Option = "FineTuneOptions.Checkpoints.AcceptChanged" };
            using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(folder, TensorFile));
            using IDisposable quiet = no_grad();
            using var scope = NewDisposeScope();
            Slot[] slots = [.. Slots(withBest: false)];
            foreach (Slot slot in slots)
                if (!file.Tensors.TryGetValue(slot.Key, out TensorInfo? info) || !info.Shape.SequenceEqual(Shape(slot)))
                    throw new JsonException($"its '{slot.Key}' is missing or of another shape.");
            foreach (Slot slot in slots)
            {
                using var inner = NewDisposeScope();                     // one tensor of the file at a time
                slot.Numbers.copy_(Own(file, slot).view(slot.Numbers.shape));
            }
            _optimizer.Resume(state.Steps);
            // With other held-out rows or evaluation options, earlier losses cannot be compared with later ones.
            if (state.Identity.GetValueOrDefault(RunIdentity.Evaluation) == _identity[RunIdentity.Evaluation])
                _best.Resume(
                    state.Evaluations,
                    !file.Tensors.ContainsKey($"best.{_trained[0].Name}") ? []
                    : [.. slots.Where((_, n) => n % 3 == 0)
                        .Select(slot =>
                            Own(file, slot with { Key = $"best.{slot.Parameter.Name}" }).view(slot.Numbers.shape)
                            .DetachFromDisposeScope())]);
            return state;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            throw new DamagedException($"{folder} cannot be resumed: it is damaged ({e.Message.TrimEnd('.')}).", e) { Path = folder };
        }
    }

    /// <exception cref="JsonException">It is no state of a run.</exception>
    private static RunState ReadState(string path)
    {
        RunState? state = JsonSerializer.Deserialize<RunState>(SmallFile.ReadText(path), Json);
        if (state is not { Identity: { } identity, History: { } history, Evaluations: { } evaluations }
            || identity.Values.Contains(null!) || history.Contains(null!) || evaluations.Contains(null!))
            throw new JsonException($"{StateFile} lacks a part of the run's state");
        if (state.Steps != history.Length)
            throw new JsonException($"{StateFile} has {history.Length} steps, and says that it has {state.Steps}");
        return state;
    }

    /// <summary>This rank's part of the weights and both moments of each parameter, and of its best weights where there are any.</summary>
    private IEnumerable<Slot> Slots(bool withBest)
    {
        IReadOnlyList<OptimizerSlice> state = _optimizer.State();
        foreach ((TrainedParameter parameter, OptimizerSlice own) in _trained.Zip(state))
        {
            yield return new Slot($"weight.{parameter.Name}", own.Master, own.First, parameter);
            yield return new Slot($"first.{parameter.Name}", own.FirstMoment, own.First, parameter);
            yield return new Slot($"second.{parameter.Name}", own.SecondMoment, own.First, parameter);
        }
        if (!withBest) yield break;
        foreach ((int n, Tensor copy) in _best.Copies.Index())
            yield return new Slot($"best.{_trained[n].Name}", copy.to(_ranks.Device), state[n].First, _trained[n]);
    }

    /// <summary>The whole tensor's shape.</summary>
    private long[] Shape(Slot slot) => slot.Parameter.Slice.WholeShape(slot.Parameter.Value.shape, _ranks.Experts.Size);

    /// <summary>This rank's numbers out of a file's whole tensor.</summary>
    private Tensor Own(SafetensorsFile file, Slot slot) => file.ReadPart(
        slot.Key, device: null, dtype: null, whole =>
        slot.Parameter.Slice.Select(whole, _ranks.Experts).flatten().narrow(0, slot.First, slot.Numbers.numel()));

    /// <summary>Renames the checkpoints of steps that this run will do again; nothing is deleted.</summary>
    private void SetAside(IEnumerable<(int Steps, string Folder)> newer)
    {
        foreach ((_, string folder) in newer)
        {
            string aside = Path.Combine(_options.Folder, $"aside-{Path.GetFileName(folder)}");
            if (Directory.Exists(aside)) aside += $"-{Guid.NewGuid():N}";
            Directory.Move(folder, aside);
            _notify($"{folder} is now {aside}: this run starts before it. Delete it when it is of no more use.");
        }
    }

    private IEnumerable<(int Steps, string Folder)> Existing() =>
        from path in Directory.EnumerateDirectories(_options.Folder, Prefix + "*")
        let number = Path.GetFileName(path)[Prefix.Length..]
        where int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out _)
        select (int.Parse(number, CultureInfo.InvariantCulture), path);

    private string NewHidden() => Path.Combine(_options.Folder, $"{Hidden}{Guid.NewGuid():N}");

    private void DropHidden()
    {
        try
        {
            foreach (string left in Directory.EnumerateDirectories(_options.Folder, Hidden + "*")) Directory.Delete(left, recursive: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Hidden, and no checkpoint; the next run tries again.
        }
    }

    private void Remove(string folder)
    {
        string hidden = NewHidden();
        Directory.Move(folder, hidden);
        Directory.Delete(hidden, recursive: true);
    }

    /// <summary>A tensor of the file, and this rank's part of it.</summary>
    private sealed record Slot(string Key, Tensor Numbers, long First, TrainedParameter Parameter);

    /// <summary>A checkpoint that is not whole; an older one may be.</summary>
    private sealed class DamagedException(string message, Exception? inner) : TrainingException(message, inner);
}
