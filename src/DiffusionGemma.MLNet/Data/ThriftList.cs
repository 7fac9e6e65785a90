namespace DiffusionGemma;

/// <summary>A list of Thrift's compact protocol.</summary>
/// <param name="ItemType">The protocol's type number of the items.</param>
/// <param name="Items">Values as in <see cref="ThriftStruct"/>.</param>
internal sealed record ThriftList(byte ItemType, List<object> Items);
