using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Reads a recipe: all its faults in one error.</summary>
internal sealed class RecipeReader
{
    private readonly string _path;
    private readonly RecipeFolders _folders;
    private readonly RecipeNode _root;
    private readonly RecipeValues _values;
    private readonly List<RecipeFault> _faults;
    private readonly List<string> _notices = [];

    private RecipeReader(string path, RecipeFolders folders, RecipeNode root, List<RecipeFault> faults)
    {
        (_path, _folders, _root, _faults) = (path, folders, root, faults);
        _values = new RecipeValues(root, faults);
        _notices.AddRange(RecipeKeyCheck.Check(root, faults));
    }

    /// <param name="path">The recipe's full path, for errors.</param>
    /// <param name="yaml">Its text.</param>
    /// <param name="overrides">Arguments that change it.</param>
    /// <param name="folders">Where its paths are looked for.</param>
    /// <param name="devices">Devices to train on; null: those there are.</param>
    /// <exception cref="RecipeException">The recipe has faults.</exception>
    public static RecipeParts Read(
        string path, string yaml, IReadOnlyList<string> overrides, RecipeFolders folders, IReadOnlyList<Device>? devices)
    {
        List<RecipeFault> faults = [];
        RecipeNode? root = RecipeYaml.Read(yaml, faults);
        if (root is null) throw Fail(path, faults);
        IReadOnlyList<string> again = RecipeOverrides.Apply(root, overrides, faults);
        var reader = new RecipeReader(path, folders, root, faults);
        reader._notices.AddRange(again);
        return reader.Read(devices);
    }

    /// <exception cref="RecipeException">Always, where there are faults.</exception>
    public static void ThrowIfAny(string path, IReadOnlyList<RecipeFault> faults)
    {
        if (faults.Count > 0) throw Fail(path, faults);
    }

    private RecipeParts Read(IReadOnlyList<Device>? devices)
    {
        string? checkpoint = ReadCheckpoint();
        RecipeData? train = new DatasetReader(_values, _folders, _notices, "dataset").Read();
        bool isMeasured = _values.Has("validation_dataset");
        RecipeData? validation = isMeasured ? new DatasetReader(_values, _folders, _notices, "validation_dataset").Read() : null;
        int? every = _values.Integer("step_scheduler.val_every_steps");
        if (!isMeasured && every is not null)
            _notices.Add("step_scheduler.val_every_steps has no effect: there is no validation_dataset.");
        string? template = ReadTemplate(isMeasured);
        int? padMultiple = _values.Integer("dllm.pad_seq_len_divisible");
        var output = new OutputReader(_values, _folders, _notices);
        FineTuneOptions options = output.AddTo(new OptionsReader(_values, _notices, devices).Read());
        if (checkpoint is not null && Directory.Exists(checkpoint) && FolderPath.AreSame(checkpoint, output.Folder))
            _values.Fault("checkpoint.checkpoint_dir", $"{output.Folder} is the checkpoint that is trained, whose files would be mixed "
                + "with the run's: name another folder");
        CheckpointFacts? facts = CheckFacts(checkpoint, [.. new[] { train, validation }.OfType<RecipeData>()]);
        if (_faults.Count == 0) CheckOptions(checkpoint!, options);
        ThrowIfAny(_path, _faults);
        return new RecipeParts
        {
            Path = _path,
            Checkpoint = checkpoint!,
            ChatTemplate = template,
            Train = train!,
            Validation = validation,
            ValidationEverySteps = every,
            PadMultiple = padMultiple,
            Options = options,
            Folder = output.Folder,
            IsSaved = output.IsEnabled,
            Notices = _notices,
            Unchecked = facts,
        };
    }

    private string? ReadCheckpoint()
    {
        const string Key = "model.pretrained_model_name_or_path";
        if (_values.Text(Key) is not { } name)
        {
            if (!_values.Has(Key)) _values.Fault(Key, "is missing: name a checkpoint's folder, or its id on the Hub");
            return null;
        }
        string? revision = _values.Text("model.revision");
        if (_folders.Find(name) is { } folder)
        {
            if (Directory.Exists(folder)) return folder;
            _values.Fault(Key, $"{folder} is a file: name the folder of a checkpoint");
            return null;
        }
        string id = revision is null || name.Contains('@') ? name : $"{name}@{revision}";
        if (HubId.TryParse(id, out _)) return id;
        _values.Fault(Key, $"'{id}' is neither a folder ({_folders.Describe(name)}) nor an id on the Hub, such as "
            + "google/diffusiongemma-26B-A4B-it");
        return null;
    }

    private string? ReadTemplate(bool isMeasured)
    {
        const string Key = "dataset.chat_template", OfValidation = "validation_dataset.chat_template";
        if (isMeasured && _values.Text(OfValidation) is { } other && other != _values.Text(Key))
            _values.Fault(OfValidation, "must be that of dataset: a model has one chat template");
        if (_values.Text(Key) is not { } template) return null;
        if (template.Contains("{%") || template.Contains("{{"))
        {
            _values.Fault(Key, "is the text of a template: write it to a file and name that");
            return null;
        }
        if (_folders.Find(template) is { } file) return file;
        _notices.Add(
            $"{Key}: there is no '{template}' (it would be {_folders.Describe(template)}); the checkpoint's own chat template is used.");
        return null;
    }

    /// <summary>Compares with the checkpoint if it is on this machine already.</summary>
    /// <returns>What is still to be compared.</returns>
    private CheckpointFacts? CheckFacts(string? checkpoint, IReadOnlyList<RecipeData> data)
    {
        var facts = new CheckpointFacts(_root, data);
        facts.CheckTypes(_faults);
        if (checkpoint is null) return facts;
        string? folder = Directory.Exists(checkpoint) ? checkpoint
            : HubRepository.TryFindCached(HubId.Parse(checkpoint), out string? cached, DiffusionGemmaCheckpoints.Hub) ? cached : null;
        if (folder is null) return facts;
        try
        {
            _faults.AddRange(facts.Check(DiffusionGemmaConfig.Load(folder), folder));
        }
        catch (InvalidConfigurationException error)
        {
            _values.Fault("model.pretrained_model_name_or_path", error.Message);
        }
        return null;
    }

    /// <summary>Lets the options check themselves.</summary>
    private void CheckOptions(string checkpoint, FineTuneOptions options)
    {
        try
        {
            FineTuner.Validate(checkpoint, options);
        }
        catch (ArgumentException error)
        {
            _faults.Add(new RecipeFault(null, "", error.Message));
        }
    }

    private static RecipeException Fail(string path, IReadOnlyList<RecipeFault> faults) =>
        new(path, [.. faults.Distinct().OrderBy(fault => fault.Line ?? int.MaxValue)]);
}
