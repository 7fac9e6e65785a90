namespace DiffusionGemma;

/// <summary>The part of a run checkpoint beside its tensors: state.json. Property names are those in the file.</summary>
/// <param name="Steps">Steps done.</param>
/// <param name="Threads">Threads that operators ran on: sums are made in another order on more or fewer.</param>
/// <param name="Identity">The run's identity (<see cref="RunIdentity"/>).</param>
/// <param name="History">A record a step.</param>
/// <param name="Evaluations">A record an evaluation.</param>
/// <param name="Ranks">Ranks that trained together; the tensors do not depend on how many.</param>
internal sealed record RunState(
    int Steps, int Threads, Dictionary<string, string> Identity, StepRecord[] History, EvaluationRecord[] Evaluations, int Ranks = 1);
