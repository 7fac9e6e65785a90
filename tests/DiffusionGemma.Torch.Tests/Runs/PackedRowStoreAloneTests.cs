namespace DiffusionGemma;

/// <summary>It looks at the whole process's memory.</summary>
[Collection(Alone.Name)]
public class PackedRowStoreAloneTests
{
    /// <summary>150 MB of rows beside a limit of one: neither the heap nor the process grows by more than a few windows.</summary>
    [Fact]
    public void Memory_stays_bounded()
    {
        long Resident() => long.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[1]) * Environment.SystemPageSize;
        long heap = GC.GetTotalMemory(forceFullCollection: true), resident = OperatingSystem.IsLinux() ? Resident() : 0;
        using PackedRowStore store = PackedRowStoreTests.Numbered(30_000, tokens: 1000);
        for (int i = 0; i < store.Count; i += 3) Assert.Equal(i, store[i].InputIds[0]);
        long kept = GC.GetTotalMemory(forceFullCollection: true) - heap;
        Assert.True(kept < 8 << 20, $"{kept} bytes");
        if (!OperatingSystem.IsLinux()) return;
        // The collector keeps the memory of young rows a while: as much as the processor's last cache holds.
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        long grown = Resident() - resident;
        Assert.True(grown < 100 << 20, $"{grown} bytes");
    }
}
