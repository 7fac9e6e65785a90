// Fine-tunes a DiffusionGemma checkpoint on GSM8K through ML.NET, saves it, and has a fresh process load it and answer.
using DiffusionGemma;
using DiffusionGemma.Samples;
using Microsoft.ML;

Arguments? arguments = Arguments.Parse(args, new Arguments
{
    Data = Repository.File("datasets", "gsm8k"),
    Checkpoint = Repository.File("datasets", "tiny-chat"),
    MaxSteps = 120,
    Out = Repository.File("out", "gsm8k"),
});
if (arguments is null) return 2;

var options = new FineTuneOptions
{
    Lora = new LoraOptions { Rank = 16, Alpha = 32 },
    MaxSteps = arguments.MaxSteps,
    WarmupSteps = Math.Min(25, arguments.MaxSteps / 4),
    LearningRate = 1e-3,                                        // for the 2 M parameters of tiny-chat; the default suits the real model
    Optimizer = new() { MinLearningRate = 1e-4 },
};
static IDataView Read(MLContext ml, string path) => ml.Data.LoadChatFromParquet(path, questionColumn: "question", answerColumn: "answer");

var sample = new FineTuneSample(arguments, options, Read, lossRows: 64, answerRows: 8);
if (arguments.Load is not null) sample.Load();
else sample.Run();
return 0;
