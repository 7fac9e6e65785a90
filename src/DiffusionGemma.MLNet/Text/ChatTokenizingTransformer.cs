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

    private const ushort EscapesSince = 2, NotesSince = 3, TreatmentSince = 4;

    private readonly CheckpointText _text;
    private readonly ChatTokenizerOptions _options;
    private readonly Lazy<ChatTokenizer> _tokenizer;

    internal ChatTokenizingTransformer(IHostEnvironment environment, CheckpointText text, string input, string outputIds, string outputMask,
        string? outputNotes, ChatTokenizerOptions options)
        : base(environment.Register(nameof(ChatTokenizingTransformer)))
    {
        _text = text;
        _options = options;
        _tokenizer = new Lazy<ChatTokenizer>(() => text.MakeTokenizer(options));
        Input = TypedColumn.Text(input, StepNames.Load);
        Outputs = [TypedColumn.Ints(outputIds), TypedColumn.Bools(outputMask), .. outputNotes is null ? []
            : new[] { TypedColumn.Texts(outputNotes) with { Annotations = TemplateAnnotation.Create(text) } }];
    }

    internal TypedColumn Input { get; }

    internal TypedColumn[] Outputs { get; }

    private static VersionInfo Version => ModelVersion.Create("DGM TOKS", TreatmentSince, LoaderSignature);

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
        ctx.Writer.Write(_options.EscapeSpecialTokens);
        ctx.SaveStringOrNull(Outputs.Length > 2 ? Outputs[2].Name : null);
        ctx.Writer.Write((int)_options.Reasoning);
        ctx.Writer.Write(_options.TrainOnGenerationPrompt);
        _text.Save(ctx);
    }

    private static ChatTokenizingTransformer Create(IHostEnvironment env, ModelLoadContext ctx)
    {
        ModelVersion.Check(ctx, env, Version);
        (string input, string ids, string mask) = (ctx.LoadNonEmptyString(), ctx.LoadNonEmptyString(), ctx.LoadNonEmptyString());
        bool escapes = ModelVersion.IsSince(ctx, EscapesSince) && ctx.Reader.ReadBoolean();
        string? notes = ModelVersion.IsSince(ctx, NotesSince) ? ctx.LoadStringOrNull() : null;
        bool hasTreatment = ModelVersion.IsSince(ctx, TreatmentSince);
        ReasoningTraining reasoning = hasTreatment ? (ReasoningTraining)ctx.Reader.ReadInt32() : ReasoningTraining.Train;
        bool asked = hasTreatment && ctx.Reader.ReadBoolean();
        var options = new ChatTokenizerOptions
        {
            EscapeSpecialTokens = escapes, Reasoning = reasoning, TrainOnGenerationPrompt = asked,
        };
        return new ChatTokenizingTransformer(env, CheckpointText.Load(ctx), input, ids, mask, notes, options);
    }

    private sealed class Mapper(ChatTokenizingTransformer parent, DataViewSchema schema)
        : RowMapper<EncodedRow>(parent, parent.Host, schema, [parent.Input],
            [.. parent.Outputs.Select(output => output.Detached)])
    {
        protected override Func<EncodedRow> Compute(DataViewRow row, DataViewSchema.Column[] inputs)
        {
            Func<ReadOnlyMemory<char>> messages = Getters.ReadValue<ReadOnlyMemory<char>>(row, inputs[0]);
            Func<ChatPosition> position = Getters.ReadPosition(row);
            ChatTokenizer tokenizer = parent._tokenizer.Value;
            return () =>
            {
                try
                {
                    return EncodedRow.Encode(messages().ToString(), tokenizer);
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
