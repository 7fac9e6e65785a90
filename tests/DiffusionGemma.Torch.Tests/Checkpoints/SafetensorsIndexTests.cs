using System.Text.Json.Nodes;

namespace DiffusionGemma;

public class SafetensorsIndexTests
{
    private const string Some = "model.decoder.norm.weight";

    [Theory]
    [InlineData("../x.safetensors")]
    [InlineData("/etc/passwd")]
    [InlineData("..")]
    [InlineData("sub\\x.safetensors")]
    [InlineData("C:x")]
    [InlineData("")]
    public void A_file_outside_the_folder_is_refused(string file)
    {
        CheckpointException error = Refused(index => index["weight_map"]![Some] = file);
        Assert.Equal(Some, error.Tensor);
        Assert.Contains("same folder", error.Message);
    }

    [Fact]
    public void An_index_that_the_files_contradict_is_refused()
    {
        Assert.Equal(Some, Refused(index => index["weight_map"]![Some] = "model-00001-of-00008.safetensors").Tensor);
        Assert.Equal("phantom", Refused(index => index["weight_map"]!["phantom"] = "model-00001-of-00008.safetensors").Tensor);
        Assert.Equal(Some, Refused(index => index["weight_map"]!.AsObject().Remove(Some)).Tensor);
        Assert.Contains("model-9.safetensors", Refused(index => index["weight_map"]![Some] = "model-9.safetensors").Message);
    }

    [Fact]
    public void Of_equal_names_the_last_counts()
    {
        using TemporaryFolder folder = Copy();
        Edit(folder, _ => { }, text => text.Replace(
            "\"weight_map\":{", $"\"weight_map\":{{}},\"weight_map\":{{\"{Some}\":\"model-9.safetensors\",", StringComparison.Ordinal));
        using SafetensorsFile file = SafetensorsFile.Open(folder.Path);
        Assert.Contains(Some, file.Tensors.Keys);
    }

    [Fact]
    public void An_index_that_is_none_is_refused()
    {
        Refused(index => index["weight_map"] = new JsonArray());
        Refused(index => index["weight_map"] = new JsonObject());
        Refused(index => index.Remove("weight_map"));
        Refused(index => index["weight_map"]![Some] = 3);
        Refused(_ => { }, text => text[..^9]);
        Refused(_ => { }, text => "[]");
    }

    [Fact]
    public void A_tensor_in_two_files_is_refused()
    {
        using TemporaryFolder folder = Copy();
        File.Copy(folder.File("model-00008-of-00008.safetensors"), folder.File("more.safetensors"));
        Edit(folder, index => index["weight_map"]!["model.decoder.self_conditioning.up_proj.weight"] = "more.safetensors");
        Assert.Contains("is also in", Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(folder.Path)).Message);
    }

    [Fact]
    public void A_folder_with_both_forms_is_refused()
    {
        using TemporaryFolder folder = Copy();
        File.Copy(folder.File("model-00008-of-00008.safetensors"), folder.File("model.safetensors"));
        Assert.Contains("both", Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(folder.Path)).Message);
    }

    private static CheckpointException Refused(Action<JsonObject> edit, Func<string, string>? editText = null)
    {
        using TemporaryFolder folder = Copy();
        Edit(folder, edit, editText);
        return Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(folder.Path));
    }

    private static void Edit(TemporaryFolder folder, Action<JsonObject> edit, Func<string, string>? editText = null)
    {
        string path = folder.File("model.safetensors.index.json");
        JsonObject index = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        edit(index);
        string text = index.ToJsonString();
        File.WriteAllText(path, editText?.Invoke(text) ?? text);
    }

    private static TemporaryFolder Copy() => CheckpointCopies.Of("tiny-bf16-sharded");
}
