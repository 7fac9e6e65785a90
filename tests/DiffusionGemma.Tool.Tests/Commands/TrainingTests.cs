using System.Text.Json;

namespace DiffusionGemma.Commands;

/// <summary>The output of training, and the commands that go on with it.</summary>
[Collection(OneByOne.Name)]
public sealed class TrainingTests(TrainedRun run)
{
    [Fact]
    public void Every_step_and_evaluation_is_an_object_and_words_go_to_standard_error()
    {
        Assert.Equal([0, 1, 2, 3], run.Training.Events("step").Select(step => step.GetProperty("step").GetInt32()));
        Assert.All(run.Training.Events("step"), step => Assert.Equal(4, step.GetProperty("totalSteps").GetInt32()));
        Assert.All(run.Training.Events("step"), step => Assert.True(step.GetProperty("loss").GetDouble() > 0));
        Assert.Equal([2, 4], run.Training.Events("evaluation").Select(record => record.GetProperty("step").GetInt32()));
        JsonElement answer = run.Training.Events("evaluation").Last().GetProperty("answers").EnumerateArray().ElementAt(3);
        Assert.Equal((3, "It is 8."), (answer.GetProperty("row").GetInt32(), answer.GetProperty("expected").GetString()));
        Assert.Contains("What is 4 plus 4?", answer.GetProperty("prompt").GetString(), StringComparison.Ordinal);
        Assert.Equal(answer.GetProperty("response").GetString() == "It is 8.", answer.GetProperty("isMatch").GetBoolean());
        Assert.Contains(" of 4 answers right", run.Training.Error, StringComparison.Ordinal);
        Assert.Contains("  row 3, ", run.Training.Error, StringComparison.Ordinal);
        JsonElement trained = Assert.Single(run.Training.Events("trained"));
        Assert.Equal("Finished", trained.GetProperty("end").GetString());
        Assert.Contains("step 4/4  loss ", run.Training.Error, StringComparison.Ordinal);
        Assert.Contains("24 of 24 rows to train on", run.Training.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_run_leaves_the_model_the_adapter_and_a_report()
    {
        string[] report =
            ["answers.jsonl", "curves.png", "curves.svg", "evaluations.csv", "evaluations.parquet", "history.csv", "history.parquet"];
        Assert.All(report, name => Assert.True(File.Exists(Path.Combine(run.Out, "report", name)), name));
        Assert.Single(Directory.GetFiles(Path.Combine(run.Out, "report", "tensorboard")));
        Assert.Equal(1 + 4, File.ReadLines(Path.Combine(run.Out, "report", "history.csv")).Count());
        Assert.True(File.Exists(Path.Combine(run.Out, "model.zip")));
        Assert.True(File.Exists(Path.Combine(run.Out, "adapter", "adapter_model.safetensors")));
    }

    [Fact]
    public async Task A_finished_run_trains_no_further()
    {
        ToolRun again = await ToolRun.SucceedAsync(
            "train", run.File("recipe.yaml"), "--step_scheduler.max_steps", "4", "--no-report", "--device", "cpu");

        Assert.StartsWith("Finished: 4 steps", again.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("step 1/4", again.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_plan_is_made_before_anything_is_loaded()
    {
        ToolRun plan = await ToolRun.SucceedAsync("plan", run.File("recipe.yaml"), "--json", "--peft.dim", "8");
        ToolRun words = await ToolRun.SucceedAsync("plan", run.File("recipe.yaml"));

        JsonElement figures = Assert.Single(plan.Objects);
        Assert.Equal(59_904, figures.GetProperty("trainedParameters").GetInt64());
        Assert.True(figures.GetProperty("totalBytes").GetInt64() > figures.GetProperty("weightBytes").GetInt64());
        Assert.Contains("29,952", words.Output, StringComparison.Ordinal);
        Assert.Contains("MB on each device; this machine has", words.Output, StringComparison.Ordinal);
        Assert.DoesNotContain(" 0.00 ", words.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_model_is_measured_alike_by_the_name_of_its_run_its_zip_and_its_adapter()
    {
        var figures = new List<string>();
        foreach (string model in new[] { run.Out, Path.Combine(run.Out, "model.zip"), Path.Combine(run.Out, "adapter") })
        {
            ToolRun measured = await ToolRun.SucceedAsync(
                "evaluate", model, "--data", run.Rows, "--rows", "3", "--max-length", "128", "--max-new-tokens", "32", "--json",
                "--device", "cpu");
            JsonElement loss = Assert.Single(measured.Events("loss")), accuracy = Assert.Single(measured.Events("accuracy"));
            Assert.Equal(EvaluationRecord.NoiseLevels, loss.GetProperty("diffusionLossByNoise").GetArrayLength());
            Assert.Equal(3, accuracy.GetProperty("rows").GetInt32());
            Assert.Equal(3, measured.Events("answer").Count);
            Assert.True(accuracy.GetProperty("tokens").GetInt64() > 0);
            figures.Add($"{loss.GetProperty("diffusionLoss").GetDouble():F6} {string.Join('|', measured.Events("answer").Select(
                answer => answer.GetProperty("response").GetString()))}");
        }
        Assert.Equal(figures[0], figures[1]);
        Assert.Equal(figures[0], figures[2]);
    }

    [Fact]
    public async Task Merged_and_exported_models_answer_as_the_trained_one()
    {
        string merged = run.File("merged"), exported = run.File("exported");
        JsonElement object1 = Assert.Single((await ToolRun.SucceedAsync("merge", run.Out, "--output", merged, "--json")).Objects);
        JsonElement object2 = Assert.Single((await ToolRun.SucceedAsync("export", run.Out, "--output", exported, "--json")).Objects);
        Assert.Equal((4, 4), (object1.GetProperty("rank").GetInt32(), object2.GetProperty("rank").GetInt32()));
        Assert.Equal(
            File.ReadAllBytes(Path.Combine(run.Out, "adapter", "adapter_model.safetensors")),
            File.ReadAllBytes(Path.Combine(exported, "adapter_model.safetensors")));

        var answers = new HashSet<string>();
        foreach (string model in new[] { run.Out, merged, exported })
            answers.Add((await ToolRun.SucceedAsync("chat", model, "--prompt", "What is 3 plus 4?", "--max-new-tokens", "32")).Output);
        Assert.NotEmpty(Assert.Single(answers).Trim());
    }

    [Fact]
    public async Task A_prompt_is_answered_as_an_object_too()
    {
        ToolRun chat = await ToolRun.SucceedAsync(
            "chat", Fixtures.Checkpoint("tiny-chat"), "--prompt", "What is 8 plus 7?", "--json", "--device", "cpu");

        JsonElement answer = Assert.Single(chat.Objects);
        Assert.Contains("15", answer.GetProperty("text").GetString(), StringComparison.Ordinal);
        Assert.Equal("stop", answer.GetProperty("finishReason").GetString());
        Assert.True(answer.GetProperty("steps").GetInt64() > 0);
    }

    [Fact]
    public async Task Rows_are_shown_as_training_sees_them()
    {
        string tinyChat = Fixtures.Checkpoint("tiny-chat");
        ToolRun shown = await ToolRun.SucceedAsync("inspect", run.Rows, "--checkpoint", tinyChat, "--rows", "2");
        ToolRun objects = await ToolRun.SucceedAsync("inspect", run.File("recipe.yaml"), "--rows", "2", "--json");

        Assert.Contains("What is 2 plus 2?", shown.Output, StringComparison.Ordinal);
        Assert.Contains("supervised tokens", shown.Output, StringComparison.Ordinal);
        Assert.Equal(2, objects.Events("row").Count);
        JsonElement tokens = objects.Events("row")[0].GetProperty("tokens");
        string supervised = string.Concat(tokens.EnumerateArray().Where(token => token.GetProperty("supervised").GetBoolean()
            && token.GetProperty("part").GetString() == "Response").Select(token => token.GetProperty("piece").GetString()));
        Assert.StartsWith("It is 2.", supervised, StringComparison.Ordinal);
        Assert.Equal(24, Assert.Single(objects.Events("summary")).GetProperty("trainedRows").GetInt32());
    }

    [Fact]
    public async Task A_data_set_is_prepared_from_files_with_questions_and_answers()
    {
        string source = Path.Combine(Fixtures.Root, "datasets", "arithmetic", "test.parquet"), output = run.File("prepared.jsonl");
        ToolRun prepared = await ToolRun.SucceedAsync("prepare", "gsm8k", "--source", source, "--output", output, "--json");

        Assert.Equal(200, Assert.Single(prepared.Objects).GetProperty("rows").GetInt32());
        Assert.Equal(200, File.ReadLines(output).Count());
        Assert.StartsWith("""{"messages":[{"role":"user",""", File.ReadLines(output).First(), StringComparison.Ordinal);
    }
}
