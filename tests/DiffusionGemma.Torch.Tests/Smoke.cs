using TorchSharp;
namespace DiffusionGemma;
public class Smoke { [Fact] public void Loads() { using var t = torch.ones(3); Assert.Equal(3, t.sum().item<float>());
 var d = (System.Diagnostics.DebuggableAttribute)Attribute.GetCustomAttribute(typeof(torch).Assembly, typeof(System.Diagnostics.DebuggableAttribute))!; Assert.True(d.IsJITOptimizerDisabled); } }
