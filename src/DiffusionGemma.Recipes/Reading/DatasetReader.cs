using System.Globalization;
using System.Text.RegularExpressions;

namespace DiffusionGemma;

/// <summary>Reads the sections <c>dataset</c> and <c>validation_dataset</c>.</summary>
internal sealed partial class DatasetReader(RecipeValues values, RecipeFolders folders, ICollection<string> notices, string section)
{
    private const int DefaultMaxLength = 1024;
    private const string DefaultSplit = "train";

    /// <summary>The data; null where it cannot be read.</summary>
    public RecipeData? Read()
    {
        string? target = values.Text($"{section}._target_");
        if (target is not null && target.Split('.')[^1] != "ChatDataset")
            values.Fault($"{section}._target_", $"'{target}' is not known here: write the rows as messages, for ChatDataset");
        values.Require($"{section}.unshifted", true, "canvases are predicted where they stand");
        if (values.Boolean($"{section}.mask_history") == false)
        {
            notices.Add($"{section}.mask_history is false: of several turns the last alone is trained all the same, since canvases start "
                + "where one answer starts. Give a row for each turn to train on them all.");
        }
        int maxLength = values.Integer($"{section}.seq_length") ?? DefaultMaxLength;
        (string split, RowSlice? slice) = ReadSplit();
        string? name = values.Text($"{section}.name");
        if (values.Texts($"{section}.path_or_dataset_id") is not { } paths)
        {
            if (!values.Has($"{section}.path_or_dataset_id"))
                values.Fault($"{section}.path_or_dataset_id", "is missing: name the file of conversations");
            return null;
        }
        string[] files = [.. paths.SelectMany(path => FindFiles(path, split, name))];
        if (files.Length == 0) return null;
        if (files.Any(RecipeData.IsParquetFile) && !files.All(RecipeData.IsParquetFile))
        {
            values.Fault($"{section}.path_or_dataset_id", "all files are parquet, or all are JSON Lines");
            return null;
        }
        return new RecipeData(files, maxLength, slice);
    }

    private (string Split, RowSlice? Slice) ReadSplit()
    {
        string key = $"{section}.split";
        if (values.Text(key) is not { } text) return (DefaultSplit, null);
        Match match = Split().Match(text);
        if (!match.Success)
        {
            values.Fault(key, $"'{text}' is no split: one is train, or a part of it such as train[:1000] or train[1000:]");
            return (DefaultSplit, null);
        }
        if (!match.Groups["slice"].Success) return (text, null);
        if (!TryRow(match.Groups["first"].Value, 0, out long? first) || !TryRow(match.Groups["end"].Value, null, out long? end))
        {
            values.Fault(key, $"'{text}' names rows beyond any file's");
            return (DefaultSplit, null);
        }
        return (match.Groups["name"].Value, new RowSlice(first!.Value, end));

        static bool TryRow(string digits, long? absent, out long? row)
        {
            row = absent;
            if (digits.Length == 0) return true;
            bool isNumber = long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out long number);
            row = number;
            return isNumber;
        }
    }

    private IEnumerable<string> FindFiles(string path, string split, string? name)
    {
        string key = $"{section}.path_or_dataset_id";
        if (HubPath.IsHubPath(path)) return IsWellFormed(path, key) ? [path] : [];
        if (folders.Find(path) is { } found)
            return Directory.Exists(found) ? FilesOf(found, split, key) : IsKnown(found, key) ? [found] : [];
        bool isFile = Path.GetExtension(path).ToLowerInvariant() is ".jsonl" or ".ndjson" or ".json" or ".parquet";
        if (!isFile && HubId.TryParse(path, out HubId? id, HubKind.Dataset))
        {
            string revision = id.Revision == HubId.DefaultRevision ? "" : $"@{Uri.EscapeDataString(id.Revision)}";
            return [$"hf://datasets/{id.Repository}{revision}/{name ?? "**"}/{split}-*.parquet"];
        }
        string prepare = path.Contains("gsm8k", StringComparison.OrdinalIgnoreCase)
            ? " 'diffusion-gemma prepare gsm8k' (Gsm8k.WriteConversations) writes GSM8K in this form." : "";
        values.Fault(key, $"there is no '{path}': it would be {folders.Describe(path)}.{prepare}");
        return [];
    }

    private bool IsWellFormed(string path, string key)
    {
        try
        {
            _ = HubPath.Parse(path);
            return true;
        }
        catch (ArgumentException error)
        {
            values.Fault(key, error.Message);
            return false;
        }
    }

    private bool IsKnown(string file, string key)
    {
        if (Path.GetExtension(file).ToLowerInvariant() is ".jsonl" or ".ndjson" or ".json" or ".parquet") return true;
        values.Fault(key, $"{file} is neither JSON (.jsonl, .json) nor parquet: write a row a line");
        return false;
    }

    private IEnumerable<string> FilesOf(string folder, string split, string key)
    {
        string[] all = [.. Directory.EnumerateFiles(folder, "*.parquet", SearchOption.AllDirectories).Order(StringComparer.Ordinal)];
        if (all.Length == 0) values.Fault(key, $"the folder {folder} holds no parquet files: name a file");
        string[] ofSplit = [.. all.Where(file => Path.GetFileName(file).StartsWith(split, StringComparison.Ordinal))];
        return ofSplit.Length > 0 ? ofSplit : all;
    }

    [GeneratedRegex(@"^(?<name>\w+)(?<slice>\[(?<first>\d*):(?<end>\d*)\])?\z")]
    private static partial Regex Split();
}
