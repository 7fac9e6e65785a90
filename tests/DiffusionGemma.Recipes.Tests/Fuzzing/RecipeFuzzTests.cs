using System.Text;

namespace DiffusionGemma;

public sealed class RecipeFuzzTests
{
    private static readonly string[] Pieces =
    [
        "{", "}", "[", "]", ":", ": ", "-", "- ", "&a ", "*a", "!", "!!python/object:x ", "|", ">", "'", "\"", "%", "@", "\t", "\n", "\n  ",
        " ", "\0", "#", ",", "?", "<<: ", "<<: *a", "---\n", "...", "null", "~", "1e400", "-1", "99999999999999999999", ".inf", ".nan",
        "[[[[[[[[[[[[[[[[[[", "{a: {a: {a: {a: {a: ", "../../etc/passwd", "/etc/passwd", "${oc.env:HF_TOKEN}", "\ud800", "*self_attn.*",
    ];

    /// <summary>Whatever the text, it is a recipe, or refused with its faults; nothing is written and no run begins.</summary>
    [Fact]
    public void Broken_recipes_are_faults_and_never_crash()
    {
        using var folder = new RecipeFolder();
        string[] originals = [RecipeText.Lora().ToString(), RecipeText.Full().ToString()];
        string path = folder.File("fuzz.yaml");
        File.WriteAllText(path, originals[0]);
        new MutationFuzzer
        {
            Name = "recipe", Folder = folder.Path, Mutations = 5_000,                            // each is checked against the checkpoint
            Make = random => random.Next(4) == 0
                ? Mutations.OfBytes(random, Encoding.UTF8.GetBytes(originals[random.Next(2)]))
                : Encoding.UTF8.GetBytes(Mutations.OfText(random, originals[random.Next(2)], Pieces)),
            Read = bytes =>
            {
                File.WriteAllBytes(path, bytes);
                try
                {
                    _ = FineTuneRecipe.Load(path);
                }
                catch (RecipeException e)
                {
                    Assert.NotEmpty(e.Faults);
                    Assert.Contains("fuzz.yaml", e.Message, StringComparison.Ordinal);
                }
            },
        }.Run();
    }
}
