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

    private const ushort EscapesSince = 2, NotesSince = 3;

    private readonly CheckpointText _text;
    private readonly bool _escapeSpecialTokens;

    internal ChatTokenizingTransformer(IHostEnvironment environment, CheckpointText text, string input, string outputIds, string outputMask,
        string? outputNotes, bool escapeSpecialTokens)
        : base(environment.Register(nameof(ChatTokenizingTransformer)))
    {
        _text = text;
        _escapeSpecialTokens = escapeSpecialTokens;
        Input = TypedColumn.Text(input, StepNames.Load);
        Outputs = [TypedColumn.Ints(outputIds), TypedColumn.Bools(outputMask), .. outputNotes is null ? []
            : new[] { TypedColumn.Texts(outputNotes) with { Annotations = TemplateAnnotation.Create(text) } }];
    }

    internal TypedColumn Input { get; }

    internal TypedColumn[] Outputs { get; }

    private static VersionInfo Version => ModelVersion.Create("DGM TOKS", NotesSince, LoaderSignature);

    /// <inheritdoc/>
    protected override IRowMapper MakeRowMapper(DataViewSchema schema) => new Mapper(this, schema);

    /// <inheritdoc/>
    protected override void SaveModel(ModelSaveContext ctx)
    {
        ctx.CheckAtModel();
        ctx.SetVersionInfo(Version);
        ctx.SaveNonEmptyString(Input.Name);
        foreach (TypedColumn output in Outputs[..2])
            ctx.SaveNonEmptyString(output.Name);
        ctx.Writer.Write(_escapeSpecialTokens);
        ctx.SaveStringOrNull(Outputs.Length > 2 ? Outputs[2].Name : null);
        _text.Save(ctx);
    }

    private static ChatTokenizingTransformer Create(IHostEnvironment env, ModelLoadContext ctx)
    {
        ModelVersion.Check(ctx, env, Version);
        (string input, string ids, string mask) = (ctx.LoadNonEmptyString(), ctx.LoadNonEmptyString(), ctx.LoadNonEmptyString());
        bool escapes = ModelVersion.IsSince(ctx, EscapesSince) && ctx.Reader.ReadBoolean();
        string? notes = ModelVersion.IsSince(ctx, NotesSince) ? ctx.LoadStringOrNull() : null;
        return new ChatTokenizingTransformer(env, CheckpointText.Load(ctx), input, ids, mask, notes, escapes);
    }

    private sealed class Mapper(ChatTokenizingTransformer parent, DataViewSchema schema)
        : RowMapper<EncodedRow>(parent, parent.Host, schema, [parent.Input], parent.Outputs)
    {
        protected override Func<EncodedRow> Compute(DataViewRow row, DataViewSchema.Column[] inputs)
        {
            Func<ReadOnlyMemory<char>> messages = Getters.ReadValue<ReadOnlyMemory<char>>(row, inputs[0]);
            Func<ChatPosition> position = Getters.ReadPosition(row);
            ChatTokenizer tokenizer = parent._text.GetTokenizer(parent._escapeSpecialTokens);
            return () =>
            {
                try
                {
                    return EncodedRow.Encode(messages().ToString(), tokenizer, parent._escapeSpecialTokens);
                }
                catch (ChatException error)
                {
                    throw TemplateFaults.Describe(error, tokenizer, position());
                }
            };
        }

        protected override Delegate MakeGetter(int output, Func<EncodedRow> value) => output switch
        {
            0 => Getters.Vector(() => value().Chat.Ids),
            1 => Getters.Vector(() => value().Chat.AssistantMask),
            _ => Getters.Texts(() => value().Notes),
        };
    }
}
