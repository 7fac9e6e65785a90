// Writes the repository's datasets. They are checked in; this program is here so that anyone can see where each row comes from.
//
//     dotnet run --project samples/MakeDatasets                                  datasets/arithmetic
//     dotnet run --project samples/MakeDatasets -- --gsm8k FOLDER                datasets/gsm8k too, from FOLDER/{train,test}.jsonl
//     dotnet run --project samples/MakeDatasets -- --out FOLDER                  below another folder than datasets
using DiffusionGemma.Samples;

const string Options = "Options: --out FOLDER, --gsm8k FOLDER with train.jsonl and test.jsonl";
if (args is ["--help" or "-h"])
{
    Console.WriteLine($"Writes the repository's datasets. {Options}");
    return 0;
}
string output = "datasets";
string? gsm8k = null;
for (int i = 0; i < args.Length; i += 2)
{
    string? value = i + 1 < args.Length ? args[i + 1] : null;
    switch (args[i])
    {
        case "--out" when value is not null:
            output = value;
            break;
        case "--gsm8k" when value is not null:
            gsm8k = value;
            break;
        default:
            Console.Error.WriteLine($"'{args[i]}' is not understood. {Options}");
            return 2;
    }
}

(IReadOnlyList<QuestionAnswer> train, IReadOnlyList<QuestionAnswer> test) = Arithmetic.Make(trainRows: 2000, testRows: 200, seed: 42);
await Write("arithmetic", train, test);
if (gsm8k is not null)
    await Write("gsm8k", Gsm8k.Read(Path.Combine(gsm8k, "train.jsonl")), Gsm8k.Read(Path.Combine(gsm8k, "test.jsonl")));
return 0;

async Task Write(string name, IReadOnlyList<QuestionAnswer> train, IReadOnlyList<QuestionAnswer> test)
{
    foreach ((string split, IReadOnlyList<QuestionAnswer> rows) in new[] { ("train", train), ("test", test) })
    {
        string path = Path.Combine(output, name, $"{split}.parquet");
        await QuestionTable.WriteAsync(path, rows);
        Console.WriteLine($"{path}: {rows.Count} rows, {new FileInfo(path).Length / 1024.0:F0} KiB");
    }
}
