// Teaches tiny-chat, which answers small arithmetic questions in a sentence, to answer them in GSM8K's manner (8+7=15, then #### 15).
using DiffusionGemma;
using DiffusionGemma.Samples;
using Microsoft.ML;

Arguments? arguments = Arguments.Parse(args, new Arguments
{
    Data = Repository.File("datasets", "arithmetic"),
    Checkpoint = Repository.File("datasets", "tiny-chat"),
    MaxSteps = 300,
    Out = Repository.File("out", "arithmetic"),
});
if (arguments is null) return 2;

var options = new FineTuneOptions
{
    Lora = new LoraOptions { Rank = 16, Alpha = 32 }, MaxSteps = arguments.MaxSteps, Epochs = 10,
    WarmupSteps = Math.Min(25, arguments.MaxSteps / 4), LearningRate = 1e-3, Optimizer = new() { MinLearningRate = 1e-4 },
};
static IDataView Read(MLContext ml, string path) => ml.Data.LoadChatFromParquet(path, questionColumn: "question", answerColumn: "answer");

var sample = new FineTuneSample(arguments, options, Read, lossRows: 200, answerRows: 200);
if (arguments.Load is not null) sample.Load();
else sample.Run();
return 0;
