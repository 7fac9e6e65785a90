namespace DiffusionGemma;

/// <summary>The rule by which an answer counts as the expected one.</summary>
public enum AnswerMatch
{
    /// <summary>GSM8K's rule: the numbers after the last <c>####</c> of both texts are equal.</summary>
    /// <remarks>
    /// A number is read whole or not at all. An expected text without <c>####</c> is the number itself.
    /// <list type="table">
    /// <listheader><term>Written</term><description>Read as</description></listheader>
    /// <item><term><c>#### 72</c>, <c>####72</c>, <c>####: 72</c>, or on the next line</term><description>72</description></item>
    /// <item><term><c>#### **72**</c>, <c>#### `72`</c></term><description>72: markdown emphasis does not matter</description></item>
    /// <item><term><c>#### 72 apples</c>, <c>#### 72.</c></term>
    /// <description>72: white space, or punctuation that ends a sentence, ends a number</description></item>
    /// <item><term><c>#### +5</c>, <c>#### -5</c>, <c>#### −5</c></term><description>5, -5, -5 (U+2212 is a minus)</description></item>
    /// <item><term><c>#### $5</c>, <c>#### € 5</c>, <c>#### -5 €</c></term>
    /// <description>5, 5, -5: any currency sign</description></item>
    /// <item><term><c>#### 1,234</c>, <c>#### 1 234 567</c></term>
    /// <description>1234, 1234567: groups of three by comma, or by spaces of one kind (no-break and thin ones too)</description></item>
    /// <item><term><c>#### 1.50</c>, <c>#### .5</c>, <c>#### 2e3</c></term><description>1.5, 0.5, 2000</description></item>
    /// <item><term><c>#### 1/2</c>, <c>#### 2/6</c></term><description>0.5, 1/3</description></item>
    /// <item><term><c>#### 72a</c>, <c>1,23</c>, <c>1.2.3</c>, <c>1 2/3</c></term>
    /// <description>none: a letter, a second separator or another number touches it</description></item>
    /// <item><term><c>#### 5%</c>, <c>5 %</c>, <c>2 × 10^3</c>, <c>5 - 3</c></term>
    /// <description>none: a percent sign, or an operator and another number, follows it</description></item>
    /// </list>
    /// </remarks>
    Number,

    /// <summary>The texts are equal, apart from white space around them.</summary>
    Text,

    /// <summary>
    /// The last matches of a regular expression in both texts are equal: its first group, or the whole match where it has none.
    /// </summary>
    Pattern,

    /// <summary>
    /// The fields of both JSON objects are equal, in any order; numbers by their value, and null counts as missing.
    /// <see cref="AnswerMetrics.Fields"/> has the accuracy of each.
    /// </summary>
    Fields,
}
