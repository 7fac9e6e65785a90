using CsCheck;
using Microsoft.ML;

namespace DiffusionGemma.Packing;

public sealed class ResponseMaskingTests
{
    private readonly MLContext _ml = new(seed: 1);

    [Theory]
    [InlineData("..###..##", ".......##", 7)]
    [InlineData("..###", "..###", 2)]
    [InlineData("###", "###", 0)]
    [InlineData("#..", "#..", 0)]
    [InlineData("..#.#..", "....#..", 4)]
    [InlineData("....", "....", 4)]
    [InlineData("", "", 0)]
    public void The_last_run_is_the_response(string assistant, string loss, int promptLength)
    {
        (bool[] mask, int length) = ResponseMaskingTransformer.LastRun([.. assistant.Select(c => c == '#')]);
        Assert.Equal((loss, promptLength), (string.Concat(mask.Select(on => on ? '#' : '.')), length));
    }

    [Fact]
    public void Whatever_the_mask_one_run_of_it_is_left_and_the_prompt_ends_there() =>
        Gen.Bool.Array[0, 40].Check(200, assistant =>
        {
            (bool[] loss, int promptLength) = ResponseMaskingTransformer.LastRun(assistant);
            Assert.Equal(assistant.Length, loss.Length);
            int count = loss.Count(on => on);
            Assert.Equal(assistant.Contains(true), count > 0);
            Assert.Equal(count, loss.Skip(promptLength).TakeWhile(on => on).Count());
            Assert.All(loss.Zip(assistant), pair => Assert.True(pair.Second || !pair.First));
            Assert.DoesNotContain(true, assistant.Skip(promptLength + count));
            Assert.True(promptLength == 0 || count == 0 || !assistant[promptLength - 1]);
        });

    [Fact]
    public void It_is_an_estimator_as_others()
    {
        IDataView view = _ml.Data.LoadFromEnumerable(new[]
        {
            new Row { AssistantMask = [false, true, false, true, true] },
            new Row { AssistantMask = [false, false] },
        });
        ResponseMaskingTransformer transformer = EstimatorAssert.Holds(_ml, _ml.Transforms.DiffusionGemma.MaskResponse(), view,
            "AssistantMask");
        Assert.Equal(
            ["LossMask=False,False,False,True,True | PromptLength=3", "LossMask=False,False | PromptLength=2"],
            Views.Dump(transformer.Transform(view), "LossMask", "PromptLength"));
    }

    private sealed class Row
    {
        public bool[] AssistantMask { get; set; } = [];
    }
}
