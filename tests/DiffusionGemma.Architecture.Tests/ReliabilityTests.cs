using System.Text.RegularExpressions;
using Mono.Cecil;

namespace DiffusionGemma;

/// <summary>
/// Every public type that is disposed of, and every public method that takes a cancellation token, has a test of it: a new one fails here
/// until it is listed with its own.
/// </summary>
public sealed partial class ReliabilityTests
{
    /// <summary>Types, with the test that disposes of them twice and in every order, and uses them afterwards.</summary>
    private static readonly Dictionary<string, string> Disposed = new()
    {
        ["DiffusionGemmaChatClient"] = "DiffusionGemmaChatClientTests.DisposingEndsTheEngineAndTheClient",
        ["DiffusionGemmaModel"] = "DisposedTests.A_model",
        ["DiffusionGemmaService"] = "DiffusionGemmaServiceTests.Disposal_in_every_order",
        ["DiffusionGemmaTransformer"] = "DisposalTests.An_answering_model",
        ["EncoderCache"] = "DisposedTests.A_cache",
        ["FineTuneResult"] = "DisposedTests.A_result_of_a_folder_in_every_order",
        ["GenerationQueue"] = "DisposedTests.A_queue",
        ["LoraAdapter"] = "DisposedTests.An_adapter_in_every_order",
        ["PackedRowStore"] = "DisposedTests.A_store_of_rows",
        ["RecipeRun"] = "FineTuneRecipeTests.A_run_can_be_cancelled_and_its_outcome_disposed_of_twice",
        ["RunReport"] = "RunReportTests.A_report_is_disposed_of_twice_and_not_used_afterwards",
        ["SafetensorsFile"] = "DisposedTests.A_file",
        ["TypedAnswerTransformer"] = "DisposalTests.A_classifying_model",
    };

    /// <summary>Methods, with how many of that name take a token, and the test that cancels each before and in the middle.</summary>
    private static readonly Dictionary<string, (int Count, string Test)> Cancelled = new()
    {
        ["CanvasGenerator.Generate"] = (3, "CancelledCallsTests.Cancelled_before_or_in_the_middle"),
        ["CanvasGenerator.StreamAsync"] = (1, "CancelledCallsTests.Streams"),
        ["DiffusionGemmaCatalog.FineTune"] = (2, "CancelledCallsTests.Fine_tuning"),
        ["DiffusionGemmaChatClient.GetResponseAsync"] = (1, "LoadedModelTests.EveryCallCanBeCancelled"),
        ["DiffusionGemmaChatClient.GetStreamingResponseAsync"] = (2, "LoadedModelTests.EveryCallCanBeCancelled"),
        ["DiffusionGemmaService.GetClientAsync"] = (1, "DiffusionGemmaServiceTests.Who_waits_may_be_cancelled_and_loading_goes_on"),
        ["DiffusionGemmaTransformer.Infill"] = (1, "CancelledCallsTests.Answers_that_begin_with_a_text"),
        ["DiffusionGemmaTransformer.Refine"] = (1, "CancelledCallsTests.Answers_that_begin_with_a_text"),
        ["FineTuner.Evaluate"] = (1, "CancelledCallsTests.Cancelled_before_or_in_the_middle"),
        ["FineTuner.Fit"] = (2, "CancelledCallsTests.Cancelled_before_or_in_the_middle"),
        ["FineTuneRecipe.Fit"] = (1, "FineTuneRecipeTests.A_run_can_be_cancelled_and_its_outcome_disposed_of_twice"),
        ["GenerationQueue.GenerateAsync"] = (1, "CancelledCallsTests.Cancelled_before_or_in_the_middle"),
        ["GenerationQueue.StreamAsync"] = (1, "CancelledCallsTests.Streams"),
        ["HubRepository.DownloadAsync"] = (2, "CancelledCallsTests.CancelledBeforeOrAtEachRequest"),
        ["HubRepository.DownloadFileAsync"] = (1, "CancelledCallsTests.CancelledBeforeOrAtEachRequest"),
        ["HubRepository.DownloadFilesAsync"] = (1, "CancelledCallsTests.CancelledBeforeOrAtEachRequest"),
        ["LabelScorer.Score"] = (1, "CancelledCallsTests.Cancelled_before_or_in_the_middle"),
        ["QuantizedCheckpoint.Create"] = (1, "CancelledCallsTests.Cancelled_before_or_in_the_middle"),
    };

    [Fact]
    public void Every_public_disposable_has_a_test_of_its_disposal()
    {
        IEnumerable<string> types = PublicTypes()
            .Where(type => type.Interfaces.Any(
                one => one.InterfaceType.FullName is "System.IDisposable" or "System.IAsyncDisposable"
                    or "Microsoft.Extensions.AI.IChatClient"))
            .Select(type => type.Name);
        Assert.Equal(Disposed.Keys.Order(StringComparer.Ordinal), types.Order(StringComparer.Ordinal));
        NamedTests tests = NamedTests.Read();
        Assert.All(Disposed.Values, test => Assert.True(tests.Contains(test), $"There is no test {test}."));
    }

    [Fact]
    public void Every_public_method_with_a_token_has_a_test_of_its_cancellation()
    {
        IEnumerable<(string, int)> methods =
            from type in PublicTypes()
            from method in type.Methods
            where method.IsPublic && !method.IsConstructor && !method.IsSetter
                && method.Parameters.Any(parameter => parameter.ParameterType.FullName == "System.Threading.CancellationToken")
            group method by $"{type.Name}.{method.Name}" into named
            orderby named.Key
            select (named.Key, named.Count());
        Assert.Equal(Cancelled.OrderBy(pair => pair.Key).Select(pair => (pair.Key, pair.Value.Count)), methods);
        NamedTests tests = NamedTests.Read();
        Assert.All(Cancelled.Values, listed => Assert.True(tests.Contains(listed.Test), $"There is no test {listed.Test}."));
    }

    [Theory]
    [InlineData("reliability.md")]
    [InlineData("security.md")]
    public void Every_test_that_a_page_names_is_there(string page)
    {
        NamedTests tests = NamedTests.Read();
        string text = File.ReadAllText(Path.Combine(Fixtures.Root, "docs", page));
        string[] names = [.. TestName().Matches(text).Select(match => match.Groups["name"].Value)];
        Assert.True(names.Length > 10, $"{names.Length} names");
        Assert.DoesNotContain(names, name => !tests.Contains(name));
    }

    /// <summary>
    /// Times are measured by a clock that only goes forward: one that is set back by a time server must not end a wait early or never.
    /// The time of day is a stamp in what is written, in the files that are listed.
    /// </summary>
    [Fact]
    public void The_time_of_day_is_a_stamp_alone()
    {
        string[] stamps =
        [
            "DiffusionGemma.Chat/Client/DiffusionGemmaChatClient.cs",               // when a response was made
            "DiffusionGemma.Hub/Http/HubFaults.cs",                                 // where a server names a time, and not its own
            "DiffusionGemma.Server/Endpoints/ChatCompletionsEndpoint.cs",
            "DiffusionGemma.Server/Endpoints/ModelsEndpoint.cs",
            "DiffusionGemma.Text/Jinja/Library/Globals.cs",                         // a template's strftime_now
            "DiffusionGemma.Torch/Runs/TelemetryCallback.cs",                       // when a step of a trace began
        ];
        string src = Path.Combine(Fixtures.Root, "src");
        IEnumerable<string> files = Directory.EnumerateFiles(src, "*.cs", SearchOption.AllDirectories)
            .Select(file => Path.GetRelativePath(src, file).Replace('\\', '/'))
            .Where(file => !file.Split('/').Any(part => part is "obj" or "bin"))
            .Where(file => TimeOfDay().IsMatch(File.ReadAllText(Path.Combine(src, file))));
        Assert.Equal(stamps, files.Order(StringComparer.Ordinal));
    }

    private static IEnumerable<TypeDefinition> PublicTypes() =>
        from project in SourceTypes.Instance.Projects
        from type in ModuleDefinition.ReadModule(Path.Combine(AppContext.BaseDirectory, $"{project}.dll")).Types
        where type.IsPublic && type.Namespace.StartsWith("DiffusionGemma", StringComparison.Ordinal)
        select type;

    /// <summary>A test between back-ticks; one that begins with a point belongs to the class that was named before it.</summary>
    [GeneratedRegex(@"`(?<name>\w+Tests(\.\w+)?)`")]
    private static partial Regex TestName();

    [GeneratedRegex(@"\bDateTime(Offset)?\.(Utc)?(Now|Today)\b|\bEnvironment\.TickCount\b|\bGetUtcNow\(|\bGetLocalNow\(")]
    private static partial Regex TimeOfDay();
}
