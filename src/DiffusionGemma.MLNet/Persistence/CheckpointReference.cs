namespace DiffusionGemma;

/// <summary>Name and fingerprint of the checkpoint that a saved model needs.</summary>
/// <param name="Path">The folder's full path where the model was trained; for a checkpoint of the Hub <c>org/name@commit</c>.</param>
/// <param name="Fingerprint">Tells it from other checkpoints.</param>
public sealed record CheckpointReference(string Path, string Fingerprint)
{
    /// <summary>The checkpoint's id and commit on the Hub; null: it is known by its folder alone.</summary>
    public HubId? HubId => DiffusionGemma.HubId.TryParse(Path, out HubId? id) && id.IsCommit ? id : null;

    /// <summary>The folder's own name, whichever system the path comes from; the repository's for a checkpoint of the Hub.</summary>
    public string Name => (HubId?.Repository ?? Path).Split('/', '\\').Last(part => part.Length > 0);

    /// <summary>Digests of the folder's files; none in models of earlier versions.</summary>
    internal IReadOnlyList<CheckpointFile> Files { get; init; } = [];

    /// <summary>True for the same path and fingerprint.</summary>
    public bool Equals(CheckpointReference? other) => other is not null && Path == other.Path && Fingerprint == other.Fingerprint;

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Path, Fingerprint);

    /// <summary>References a folder; one of the Hub's cache by its id and commit, since another machine's cache is elsewhere.</summary>
    internal static CheckpointReference Create(string folder)
    {
        folder = System.IO.Path.GetFullPath(folder);
        bool isSnapshot = DiffusionGemma.HubId.TryFromSnapshot(folder, out HubId? id) && id.Kind == HubKind.Model;
        return new CheckpointReference(isSnapshot ? id!.ToString() : folder, CheckpointFingerprint.Compute(folder))
        {
            Files = CheckpointFiles.Read(folder),
        };
    }

    /// <summary>Writes an adapter's PEFT folder with this checkpoint as its base.</summary>
    internal void SaveAdapter(LoraAdapter adapter, string folder) => adapter.Save(folder, HubId?.Repository ?? Path, HubId?.Revision);
}
