namespace DiffusionGemma;

/// <summary>
/// The tokens that may follow an answer's last character: the turn's end, what the chat template writes after it, and the fill to the
/// canvas's end.
/// <code>
/// 1 5 &lt;turn|&gt; \n &lt;eos&gt; &lt;eos&gt; ...      1 5 &lt;turn|&gt; &lt;eos&gt; &lt;eos&gt; ...      1 5 &lt;eos&gt; &lt;eos&gt; ...
/// </code>
/// </summary>
/// <param name="EndOfSequence">The id that fills a canvas after the answer.</param>
/// <param name="TurnEnd">The id that ends a turn; null: the template has none.</param>
/// <param name="AfterTurn">Ids that the template writes after it, in order.</param>
public sealed record AnswerEnding(int EndOfSequence, int? TurnEnd = null, IReadOnlyList<int>? AfterTurn = null);
