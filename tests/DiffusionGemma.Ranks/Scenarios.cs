using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using CsCheck;
using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>What a rank can be asked to do. Where one rank does something else it is rank 1.</summary>
internal static partial class Scenarios
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(20), Short = TimeSpan.FromSeconds(0.5);

    public static string Run(string name, string[] arguments) => name switch
    {
        "properties" => Properties(int.Parse(arguments[0], CultureInfo.InvariantCulture)),
        "mismatch" => Mismatch(arguments[0]),
        "argument" => Argument(),
        "late" => Late(root: false),
        "late root" => Late(root: true),
        "split late" => SplitLate(),
        "abort" => Abort(Enum.Parse<Collective>(arguments[0])),
        "aborts at random" => AbortAtRandom(int.Parse(arguments[0], CultureInfo.InvariantCulture)),
        "killed" => Killed(),
        "frozen" => Frozen(),
        "exit code" => ExitCode(),
        "unhandled" => Unhandled(),
        "times" => Times(),
        "train" => TrainingScenario.Fixture(arguments[0], arguments[1], arguments[2], arguments[3]),
        "train folder" => TrainingScenario.Folder(arguments[0], arguments[1], arguments[2], bool.Parse(arguments[3])),
        "train fault" => TrainingScenario.Fault(arguments[0]),
        "nccl" => NcclScenario.Run(),
        _ => throw new ArgumentException($"There is no scenario {name}."),
    };

    /// <summary>
    /// The same drawn cases on every rank; then the same with pieces of a few numbers; collections and a null reference on the way, which MPI's signal handlers must let be.
    /// </summary>
    private static string Properties(int count)
    {
        MpiProcessGroup world = MpiProcessGroup.World(Long);
        Gen<CollectiveCase> cases = CollectiveCase.Of(Gen.Const(world.Size), most: 3000);
        int done = 0;
        foreach (MpiProcessGroup group in new[] { world, world.InPieces(7, 5) })
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
        return got == expected ? $"{done} well" : $"{got} in place of {expected}";

        static string arguments(string[] none) => none[0];
    }

    private static string Mismatch(string kind)
    {
        MpiProcessGroup world = MpiProcessGroup.World(Long);
        bool other = world.Rank == 1;
        world.At = other ? "step 7" : "step 6";
        world.Barrier();
        Mismatching.Call(world, kind, other);
        return "nothing was said";
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
        return "nothing was said";
    }

    private static string Late(bool root)
    {
        MpiProcessGroup world = Started(Short);
        world.At = $"step {world.Rank}";
        world.Barrier();
        if (world.Rank == (root ? 0 : 1)) Thread.Sleep(TimeSpan.FromSeconds(root ? 2 : 1));
        world.AllReduce(zeros(3));
        return "nothing was said";
    }

    /// <summary>Ranks 0 and 1 wait for each other in vain; the others wait elsewhere.</summary>
    private static string SplitLate()
    {
        MpiProcessGroup world = Started(Short);
        using IProcessGroup pair = world.Split(world.Rank / 2);
        if (world.Rank == 1) Thread.Sleep(TimeSpan.FromSeconds(1));
        if (world.Rank < 2) pair.Barrier();
        MpiProcessGroup.World(Long).Barrier();
        return "nothing was said";
    }

    private static string Abort(Collective operation)
    {
        MpiProcessGroup world = MpiProcessGroup.World(Long);
        world.At = $"step {world.Rank}";
        world.Barrier();
        if (world.Rank == 1)
        {
            Thread.Sleep(100);
            world.Abort(new IOException("the disk is full"));
            return "aborted";
        }
        new CollectiveCase(operation, ScalarType.Float32, world.Size, 10, [.. Enumerable.Repeat(2L, world.Size * world.Size)], 0, false, 1).Check(world);
        return "nothing was said";
    }

    /// <summary>Another thread of rank 1 fails while all are in collectives.</summary>
    private static string AbortAtRandom(int seed)
    {
        MpiProcessGroup world = MpiProcessGroup.World(Long);
        Gen<CollectiveCase> cases = CollectiveCase.Of(Gen.Const(world.Size), most: 3000);
        PCG generator = PCG.Parse("0000000000000");
        world.At = "on the way";
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
        MpiProcessGroup world = MpiProcessGroup.World(TimeSpan.FromMinutes(1));
        world.Barrier();
        if (world.Rank == 1) Check(kill(Environment.ProcessId, SigKill));
        world.Barrier();
        return "nothing was said";
    }

    /// <summary>A process that stops in the middle of a movement of data, or shortly before or after.</summary>
    private static string Frozen()
    {
        MpiProcessGroup world = Started(Short);
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
        return "nothing was said";
    }

    private static string Unhandled()
    {
        MpiProcessGroup world = MpiProcessGroup.World(Long);
        world.Barrier();
        if (world.Rank == 1) throw new InvalidDataException("nobody catches this");
        world.Barrier();
        return "nothing was said";
    }

    private static string Times()
    {
        MpiProcessGroup world = MpiProcessGroup.World(Long);
        double barrier = Best(() => world.Barrier(), 500), small, large;
        Tensor few = zeros(1000), many = zeros(1 << 24);
        small = Best(() => world.AllReduce(few), 500);
        large = Best(() => world.AllReduce(many), 3);
        return string.Create(CultureInfo.InvariantCulture, $"barrier {barrier:0} us, all-reduce of 4 kB {small:0} us, of 64 MiB {large / 1000:0} ms");

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

    /// <summary>All ranks, once all have started.</summary>
    private static MpiProcessGroup Started(TimeSpan timeout)
    {
        MpiProcessGroup.World(Long).Barrier();
        return MpiProcessGroup.World(timeout);
    }

    private const int SigKill = 9, SigStop = 19;

    private static void Check(int code)
    {
        if (code != 0) throw new InvalidOperationException("The signal was refused.");
    }

    [LibraryImport("libc")]
    private static partial int kill(int process, int signal);
}
