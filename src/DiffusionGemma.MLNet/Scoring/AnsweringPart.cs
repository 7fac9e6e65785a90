using Microsoft.ML;

namespace DiffusionGemma;

/// <summary>Finds the transformer that answers in a model, which may be a chain of chains.</summary>
internal static class AnsweringPart
{
    /// <exception cref="ArgumentException">No part answers.</exception>
    public static DiffusionGemmaTransformer Find(ITransformer model) => Answering(model).LastOrDefault()
        ?? throw new ArgumentException($"No part of the model answers: give one that FineTune or Answer has fitted, or that was loaded "
            + $"from its file. It is {model.GetType().Name}.", nameof(model));

    /// <summary>Transforms data with a model, changing the options of the answering transformer.</summary>
    public static IDataView Transform(ITransformer model, IDataView data, Func<AnswerOptions, AnswerOptions> change) =>
        Parts(model).Aggregate(data, (view, part) => part switch
        {
            DiffusionGemmaTransformer answers => answers.Transform(view, change(answers.Options)),
            IAnsweringTransformer typed => typed.Transform(view, change(typed.Options)),
            _ => part.Transform(view),
        });

    /// <summary>The transformers that own a model, those inside others too.</summary>
    public static IEnumerable<DiffusionGemmaTransformer> Answering(ITransformer model) => Parts(model)
        .Select(part => part as DiffusionGemmaTransformer ?? (part as IAnsweringTransformer)?.Answering)
        .OfType<DiffusionGemmaTransformer>();

    public static IEnumerable<ITransformer> Parts(ITransformer model) => model is IEnumerable<ITransformer> chain ? chain.SelectMany(Parts)
        : [model];
}
