using DiffusionGemma;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

[assembly: LoadableClass(typeof(ChatTokenizingTransformer), null, typeof(SignatureLoadModel), "DiffusionGemma chat tokenizer",
    ChatTokenizingTransformer.LoaderSignature)]

namespace DiffusionGemma;

/// <summary>Tokenizes conversations: the transformer of <see cref="ChatTokenizingEstimator"/>.</summary>
/// <remarks>Tokenizer and template are saved with it.</remarks>
public sealed class ChatTokenizingTransformer : RowToRowTransformerBase
{
    internal const string LoaderSignature = "DiffusionGemmaTokenize";

    // From this layout on, the saved model says whether special tokens are escaped.
    private const ushort Layout = 2;

    private readonly CheckpointText _text;
    private readonly bool _escapeSpecialTokens;

    internal ChatTokenizingTransformer(IHostEnvironment environment, CheckpointText text, string input, string outputIds, string outputMask,
        bool escapeSpecialTokens)
        : base(environment.Register(nameof(ChatTokenizingTransformer)))
    {
        _text = text;
        _escapeSpecialTokens = escapeSpecialTokens;
        Input = TypedColumn.Text(input);
        Outputs = [TypedColumn.Ints(outputIds), TypedColumn.Bools(outputMask)];
    }

    internal TypedColumn Input { get; }

    internal TypedColumn[] Outputs { get; }

    private static VersionInfo Version => ModelVersion.Create("DGM TOKS", Layout, LoaderSignature);

    /// <inheritdoc/>
    protected override IRowMapper MakeRowMapper(DataViewSchema schema) => new Mapper(this, schema);

    /// <inheritdoc/>
    protected override void SaveModel(ModelSaveContext ctx)
    {
        ctx.CheckAtModel();
        ctx.SetVersionInfo(Version);
        ctx.SaveNonEmptyString(Input.Name);
        foreach (TypedColumn output in Outputs)
            ctx.SaveNonEmptyString(output.Name);
        ctx.Writer.Write(_escapeSpecialTokens);
        _text.Save(ctx);
    }

    private static ChatTokenizingTransformer Create(IHostEnvironment env, ModelLoadContext ctx)
    {
        ctx.CheckAtModel(Version);
        (string input, string ids, string mask) = (ctx.LoadNonEmptyString(), ctx.LoadNonEmptyString(), ctx.LoadNonEmptyString());
        bool escapes = (ushort)ctx.Header.ModelVerWritten >= Layout && ctx.Reader.ReadBoolean();
        return new ChatTokenizingTransformer(env, CheckpointText.Load(ctx), input, ids, mask, escapes);
    }

    private sealed class Mapper(ChatTokenizingTransformer parent, DataViewSchema schema)
        : RowMapper<TokenizedChat>(parent, parent.Host, schema, [parent.Input], parent.Outputs)
    {
        protected override Func<TokenizedChat> Compute(DataViewRow row, DataViewSchema.Column[] inputs)
        {
            Func<ReadOnlyMemory<char>> messages = Getters.ReadValue<ReadOnlyMemory<char>>(row, inputs[0]);
            Func<ChatPosition> position = Getters.ReadPosition(row);
            ChatTokenizer tokenizer = parent._text.GetTokenizer(parent._escapeSpecialTokens);
            return () =>
            {
                try
                {
                    return tokenizer.Encode(messages().ToString());
                }
                catch (ChatException error)
                {
                    throw new ChatDataException(error.Message, position(), error);
                }
            };
        }

        protected override Delegate MakeGetter(int output, Func<TokenizedChat> value) =>
            output == 0 ? Getters.Vector(() => value().Ids) : Getters.Vector(() => value().AssistantMask);
    }
}
