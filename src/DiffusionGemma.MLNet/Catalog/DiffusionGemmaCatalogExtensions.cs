using DiffusionGemma;
using Microsoft.ML.Data;

namespace Microsoft.ML;

/// <summary>Makes the parts of a DiffusionGemma pipeline reachable from an <see cref="MLContext"/>.</summary>
public static class DiffusionGemmaCatalogExtensions
{
    extension(TransformsCatalog catalog)
    {
        /// <summary>The parts of a DiffusionGemma pipeline.</summary>
        public DiffusionGemmaCatalog DiffusionGemma => new(CatalogUtils.GetEnvironment(catalog));
    }
}
