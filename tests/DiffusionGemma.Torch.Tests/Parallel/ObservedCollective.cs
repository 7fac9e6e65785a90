using System.Diagnostics;

namespace DiffusionGemma;

/// <summary>One call of a collective by a rank.</summary>
/// <param name="Operation">The collective.</param>
/// <param name="Bytes">The size of the whole tensor, or of all rows sent, this rank's own included.</param>
/// <param name="Start">The time of the call, as <see cref="Stopwatch.GetTimestamp"/>.</param>
/// <param name="End">The time of the return.</param>
internal readonly record struct ObservedCollective(Collective Operation, long Bytes, long Start, long End);
