using System.Text;
using DiffusionGemma;

Console.OutputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);
return await ToolProgram.RunAsync(args, Console.Out, Console.Error, !Console.IsOutputRedirected, !Console.IsErrorRedirected);
