namespace DiffusionGemma;

/// <summary>Treatment of a key of a recipe.</summary>
internal enum RecipeKeyUse
{
    /// <summary>It has a meaning for the run.</summary>
    Used,

    /// <summary>It has none here, and a notice says why.</summary>
    Noticed,

    /// <summary>It has none here, and neither has anything below it, whatever it is named.</summary>
    NoticedWhole,
}
