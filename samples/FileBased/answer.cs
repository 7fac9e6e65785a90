#:package DiffusionGemma.MLNet@0.1.0
#:package TorchSharp-cpu@0.107.0

// A program in one file, without a project: dotnet run answer.cs -- FOLDER|ID "What is 8 plus 7?"
// (--source FOLDER names the folder of packages, until they are on a public feed.)
using DiffusionGemma;
using Microsoft.ML;
using Microsoft.ML.Data;

if (args is not [var checkpoint, var question])
{
    Console.WriteLine("""Usage: dotnet run answer.cs -- FOLDER|ID "What is 8 plus 7?" """);
    return args is ["--help" or "-h"] ? 0 : 2;
}

var ml = new MLContext(seed: 42);
DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
IDataView questions = ml.Data.LoadChatFromEnumerable([new QuestionAnswer(question)]);
using var model = gemma.TokenizeChat(checkpoint)
    .Append(gemma.MaskResponse())
    .Append(gemma.Answer(checkpoint))
    .Fit(questions);
foreach (string answer in model.Transform(questions).GetColumn<string>("Response")) Console.WriteLine(answer);
return 0;
