using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Emit;

namespace DiffusionGemma.Snippets;

/// <summary>Compiles programs as an application would: against the assemblies of this test, with the SDK's implicit usings.</summary>
internal static class SnippetCompiler
{
    private const string ImplicitUsings =
        "global using System; global using System.Collections.Generic; global using System.IO; global using System.Linq;"
        + " global using System.Net.Http; global using System.Threading; global using System.Threading.Tasks;";

    private static readonly MetadataReference[] References = ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!)
        .Split(Path.PathSeparator)
        .Select(MetadataReference (path) => MetadataReference.CreateFromFile(path))
        .ToArray();

    /// <summary>Compiles a program into a file.</summary>
    /// <returns>Errors and warnings, each with the document's line; empty where there is none.</returns>
    public static IReadOnlyList<string> Compile(SnippetProgram program, string assembly)
    {
        CSharpParseOptions parsing = CSharpParseOptions.Default.WithLanguageVersion(LanguageVersion.CSharp14);
        var options = new CSharpCompilationOptions(OutputKind.ConsoleApplication, nullableContextOptions: NullableContextOptions.Enable);
        SyntaxTree[] trees = [CSharpSyntaxTree.ParseText(ImplicitUsings, parsing), CSharpSyntaxTree.ParseText(program.Source, parsing)];
        var compilation = CSharpCompilation.Create(Path.GetFileNameWithoutExtension(assembly), trees, References, options);
        using FileStream output = File.Create(assembly);
        EmitResult result = compilation.Emit(output);
        return [.. result.Diagnostics.Where(d => d.Severity >= DiagnosticSeverity.Warning).Select(d => d.ToString())];
    }
}
