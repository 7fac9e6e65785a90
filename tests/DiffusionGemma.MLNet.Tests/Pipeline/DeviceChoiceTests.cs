using DiffusionGemma.FineTuning;
using Microsoft.ML;
using Microsoft.ML.Runtime;
using TorchSharp;

namespace DiffusionGemma.Pipeline;

/// <summary>ML.NET's switches for devices. No machine has a GPU of this number.</summary>
[Collection(nameof(DiffusionGemmaCheckpoints))]
public sealed class DeviceChoiceTests
{
    private const int NoSuchGpu = 99;
    private readonly MLContext _ml = new(seed: 7);
    private readonly List<string> _warnings = [];

    public DeviceChoiceTests() => _ml.Log += (_, line) =>
    {
        if (line.Kind == ChannelMessageKind.Warning) _warnings.Add(line.RawMessage);
    };

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_GPU_of_the_context_that_is_not_there_is_replaced_or_refused(bool falls)
    {
        (_ml.GpuDeviceId, _ml.FallbackToCpu) = (NoSuchGpu, falls);
        Check(TinyChat.Lora with { Devices = null, MaxSteps = 1 }, falls, "MLContext.GpuDeviceId asks for cuda:99");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void So_is_one_of_the_options(bool falls)
    {
        _ml.FallbackToCpu = falls;
        FineTuneOptions options = TinyChat.Lora with { Devices = [new torch.Device(DeviceType.CUDA, NoSuchGpu)], MaxSteps = 1 };
        Check(options, falls, "FineTuneOptions.Devices asks for cuda:99");
    }

    [Fact]
    public void Devices_of_the_options_go_before_the_context_s()
    {
        (_ml.GpuDeviceId, _ml.FallbackToCpu) = (NoSuchGpu, false);
        using DiffusionGemmaTransformer trained = Fit(TinyChat.Lora with { MaxSteps = 1 });
        Assert.Equal(DeviceType.CPU, trained.Model.Device.type);
        Assert.Empty(_warnings);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Loaded_models_heed_them_too(bool falls)
    {
        using TemporaryFolder folder = Fixtures.Temporary("devices");
        IDataView data = TinyChat.Unanswered(_ml, "What is 1 plus 1?");
        using (var answering = TinyChat.Preparation(_ml)
            .Append(_ml.Transforms.DiffusionGemma.Answer(TinyChat.Checkpoint, TinyChat.Quick)).Fit(data))
            _ml.Model.Save(answering, data.Schema, folder.File("model.zip"));

        (_ml.GpuDeviceId, _ml.FallbackToCpu) = (NoSuchGpu, falls);
        ITransformer loaded = _ml.Model.Load(folder.File("model.zip"), out _);
        DiffusionGemmaTransformer part = _ml.Transforms.DiffusionGemma.AnsweringPart(loaded);
        if (!falls)
        {
            Assert.Contains("asks for cuda:99", Assert.Throws<PlatformNotSupportedException>(() => part.Model).Message);
            return;
        }
        Assert.Equal(DeviceType.CPU, part.Model.Device.type);
        Assert.Contains("The CPU is used, as MLContext.FallbackToCpu allows.", Assert.Single(_warnings));
        part.Dispose();
    }

    private void Check(FineTuneOptions options, bool falls, string message)
    {
        if (!falls)
        {
            Assert.StartsWith(message, Assert.Throws<PlatformNotSupportedException>(() => Fit(options)).Message);
            return;
        }
        using DiffusionGemmaTransformer trained = Fit(options);
        Assert.Equal(DeviceType.CPU, trained.Model.Device.type);
        Assert.StartsWith(message, Assert.Single(_warnings));
    }

    private DiffusionGemmaTransformer Fit(FineTuneOptions options)
    {
        IDataView data = TinyChat.Questions(_ml, 2);
        IDataView packed = TinyChat.Preparation(_ml).Fit(data).Transform(data);
        return _ml.Transforms.DiffusionGemma.FineTune(TinyChat.Checkpoint, options).Fit(packed);
    }
}
