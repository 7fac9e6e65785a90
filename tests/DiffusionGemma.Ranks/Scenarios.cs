using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using CsCheck;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>The work that tests start a rank with. Where one rank differs from the others, it is rank 1.</summary>
internal static partial class Scenarios
{
    private static readonly TimeSpan Long = TimeSpan.FromMinutes(10);

    public static string Run(string name, string[] arguments) => name switch
    {
        "properties" => Properties(int.Parse(arguments[0], CultureInfo.InvariantCulture)),
        "mismatch" => Mismatch(arguments[0]),
        "argument" => Argument(),
        "late" => Late(Seconds(arguments[0]), root: false),
        "late root" => Late(Seconds(arguments[0]), root: true),
        "split late" => SplitLate(Seconds(arguments[0])),
        "abort" => Abort(Enum.Parse<Collective>(arguments[0])),
        "aborts at random" => AbortAtRandom(int.Parse(arguments[0], CultureInfo.InvariantCulture)),
        "killed" => Killed(),
        "frozen" => Frozen(Seconds(arguments[0])),
        "exit code" => ExitCode(),
        "unhandled" => Unhandled(),
        "times" => Times(),
        "train" => TrainingScenario.Fixture(arguments[0], arguments[1], arguments[2], arguments[3]),
        "train folder" => TrainingScenario.Folder(arguments[0], arguments[1], arguments[2], bool.Parse(arguments[3])),
        "train fault" => TrainingScenario.Fault(arguments[0]),
        "nccl" => NcclScenario.Run(),
        "unique id" => UniqueIdOverMpi(),
        _ => throw new ArgumentException($"There is no scenario {name}."),
    };

    /// <summary>
    /// Checks the same drawn cases on every rank, then again with pieces of a few elements; with garbage collections and a null reference
    /// in between, which MPI's signal handlers must leave to .NET.
    /// </summary>
    private static string Properties(int count)
    {
        MpiProcessGroup world = MpiProcessGroup.World(Long);
        Gen<CollectiveCase> cases = CollectiveCase.Draw(Gen.Const(world.Size), most: 3000);
        int done = 0;
        foreach (MpiProcessGroup group in new[] { world, world.WithSizes(7, 5) })
        {
            PCG generator = PCG.Parse("0000000000000");
            for (int n = 0; n < count; n++, done++)
            {
                cases.Generate(generator, null, out _).Check(group);
                if (n % 50 == world.Rank) GC.Collect();
            }
        }
        try
        {
            _ = string.Concat(arguments(null!).Length);
        }
        catch (NullReferenceException)
        {
            done++;
        }
        world.Barrier();
        using IProcessGroup pair = world.Split(world.Rank / 2), single = pair.Split(pair.Rank);
        long before = Tensor.TotalCount;
        Tensor sum = tensor([(long)world.Rank]);
        pair.AllReduce(sum);
        single.AllReduce(sum);
        long got = sum[0].item<long>(), expected = Enumerable.Range(0, world.Size).Where(r => r / 2 == world.Rank / 2).Sum();
        return got == expected ? $"{done} well" : $"{got} instead of {expected}";

        static string arguments(string[] none) => none[0];
    }

    /// <summary>Rank 0 makes bytes; the others get them by MPI.</summary>
    private static string UniqueIdOverMpi()
    {
        LaunchEnvironment launch = LaunchEnvironment.Read(Environment.GetEnvironmentVariable)!;
        using var exchange = new UniqueIdExchange(launch, Long, MpiProcessGroup.World);
        byte[] bytes = exchange.Run(() => launch.Rank == 0 ? [0, 255, 7] : throw new InvalidOperationException("made on another rank"));
        return string.Join(' ', bytes);
    }

    private static string Mismatch(string kind)
    {
        MpiProcessGroup world = MpiProcessGroup.World(Long);
        bool other = world.Rank == 1;
        world.Activity = other ? "step 7" : "step 6";
        world.Barrier();
        Mismatching.Call(world, kind, other);
        return "no exception";
    }

    private static string Argument()
    {
        MpiProcessGroup world = MpiProcessGroup.World(Long);
        try
        {
            world.AllReduce(zeros(4, dtype: world.Rank == 1 ? ScalarType.Int32 : ScalarType.Float32));
        }
        catch (ArgumentException e)
        {
            throw new ProcessGroupException(e.Message);
        }
        return "no exception";
    }

    private static string Late(TimeSpan timeout, bool root)
    {
        MpiProcessGroup world = Started(timeout);
        world.Activity = $"step {world.Rank}";
        world.Barrier();
        // The others wait a second longer for rank 0.
        if (world.Rank == (root ? 0 : 1)) Thread.Sleep(2 * timeout + TimeSpan.FromSeconds(root ? 1 : 0));
        world.AllReduce(zeros(3));
        return "no exception";
    }

    /// <summary>Rank 0 waits for rank 1 in vain; the others wait elsewhere.</summary>
    private static string SplitLate(TimeSpan timeout)
    {
        MpiProcessGroup world = Started(timeout);
        using IProcessGroup pair = world.Split(world.Rank / 2);
        if (world.Rank == 1) Thread.Sleep(2 * timeout);
        if (world.Rank < 2) pair.Barrier();
        MpiProcessGroup.World(Long).Barrier();
        return "no exception";
    }

    private static string Abort(Collective operation)
    {
        MpiProcessGroup world = MpiProcessGroup.World(Long);
        world.Activity = $"step {world.Rank}";
        world.Barrier();
        if (world.Rank == 1)
        {
            Thread.Sleep(100);
            world.Abort(new IOException("the disk is full"));
            return "aborted";
        }
        long[] counts = [.. Enumerable.Repeat(2L, world.Size * world.Size)];
        new CollectiveCase(operation, ScalarType.Float32, world.Size, 10, counts, 0, false, 1).Check(world);
        return "no exception";
    }

    /// <summary>Another thread of rank 1 fails while all are in collectives.</summary>
    private static string AbortAtRandom(int seed)
    {
        MpiProcessGroup world = MpiProcessGroup.World(Long);
        Gen<CollectiveCase> cases = CollectiveCase.Draw(Gen.Const(world.Size), most: 3000);
        PCG generator = PCG.Parse("0000000000000");
        world.Activity = "on the way";
        world.Barrier();
        if (world.Rank == 1)
        {
            new Thread(() =>
            {
                Thread.Sleep(new Random(seed).Next(100));
                world.Abort(new IOException("the disk is full"));
            }).Start();
        }
        while (true) cases.Generate(generator, null, out _).Check(world);
    }

    private static string Killed()
    {
        MpiProcessGroup world = MpiProcessGroup.World(Long);
        world.Barrier();
        if (world.Rank == 1) Check(kill(Environment.ProcessId, SigKill));
        world.Barrier();
        return "no exception";
    }

    /// <summary>Stops a process in the middle of a transfer of data, or shortly before or after.</summary>
    private static string Frozen(TimeSpan timeout)
    {
        MpiProcessGroup world = Started(timeout);
        Tensor large = zeros(20_000_000);
        world.Barrier();
        if (world.Rank == 1)
        {
            new Thread(() =>
            {
                Thread.Sleep(200);
                Check(kill(Environment.ProcessId, SigStop));
            }).Start();
        }
        while (true) world.AllReduce(large);
    }

    private static string ExitCode()
    {
        MpiProcessGroup world = MpiProcessGroup.World(Long);
        world.Barrier();
        if (world.Rank == 1) throw new ProcessGroupException("of its own");
        world.Barrier();
        return "no exception";
    }

    private static string Unhandled()
    {
        MpiProcessGroup world = MpiProcessGroup.World(Long);
        world.Barrier();
        if (world.Rank == 1) throw new InvalidDataException("nobody catches this");
        world.Barrier();
        return "no exception";
    }

    private static string Times()
    {
        MpiProcessGroup world = MpiProcessGroup.World(Long);
        double barrier = Best(() => world.Barrier(), 500), small, large;
        Tensor few = zeros(1000), many = zeros(1 << 24);
        small = Best(() => world.AllReduce(few), 500);
        large = Best(() => world.AllReduce(many), 3);
        return string.Create(
            CultureInfo.InvariantCulture, $"barrier {barrier:0} us, all-reduce of 4 kB {small:0} us, of 64 MiB {large / 1000:0} ms");

        static double Best(Action one, int count)
        {
            double best = double.PositiveInfinity;
            for (int trial = 0; trial < 3; trial++)
            {
                long start = Stopwatch.GetTimestamp();
                for (int n = 0; n < count; n++) one();
                best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalMicroseconds / count);
            }
            return best;
        }
    }

    /// <summary>Returns the group of all ranks once all have started.</summary>
    private static MpiProcessGroup Started(TimeSpan timeout)
    {
        MpiProcessGroup.World(Long).Barrier();
        return MpiProcessGroup.World(timeout);
    }

    private static TimeSpan Seconds(string text) => TimeSpan.FromSeconds(double.Parse(text, CultureInfo.InvariantCulture));

    private const int SigKill = 9, SigStop = 19;

    private static void Check(int code)
    {
        if (code != 0) throw new InvalidOperationException("The signal was refused.");
    }

    [LibraryImport("libc")]
    private static partial int kill(int process, int signal);
}
