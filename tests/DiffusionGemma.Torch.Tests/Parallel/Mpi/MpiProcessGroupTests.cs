using System.Globalization;

namespace DiffusionGemma;

/// <summary>Each test is a job of mpirun; a failure ends a job, so each failure is one of its own.</summary>
public sealed class MpiProcessGroupTests
{
    /// <summary>
    /// Sixty cases, sixty more in pieces of a few numbers, and a null reference, which MPI's signal handlers leave alone.
    /// </summary>
    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    public void Collectives_give_the_exact_result(int ranks)
    {
        MpiRun run = MpiRun.Start(ranks, "properties", "60");
        Assert.True(run.Job.Exit == 0, run.Job.ToString());
        Assert.All(Enumerable.Range(0, ranks), r => Assert.Equal("121 well", run.Of(r)));
    }

    [Theory]
    [InlineData("size", "rank 1 (step 7) calls all-reduce of 5 float32")]
    [InlineData("counts", "rank 1 (step 7) sends 1 rows to rank 2 (step 6), which expects 2")]
    public void A_mismatch_is_reported_to_all(string kind, string message)
    {
        MpiRun run = MpiRun.Start(3, "mismatch", kind);
        Assert.All(Enumerable.Range(0, 3), r =>
        {
            Assert.StartsWith($"Rank {r} (step {(r == 1 ? 7 : 6)}), collective 2, ", run.Of(r));
            Assert.Contains(message, run.Of(r));
        });
        AssertFailed(run);
    }

    [Fact]
    public void A_wrong_argument_is_reported_to_all()
    {
        MpiRun run = MpiRun.Start(2, "argument");
        Assert.All(Enumerable.Range(0, 2), r => Assert.Contains("not Int32", run.Of(r)));
        AssertFailed(run);
    }

    /// <summary>Rank 1, or the group's rank 0, which is the one that knows which ranks are missing.</summary>
    [Theory]
    [InlineData("late", 1, "rank 1 (step 1)")]
    [InlineData("late root", 0, "rank 0")]
    public void A_missing_rank_is_named(string scenario, int late, string missing) => TimeoutTest.Run(timeout =>
    {
        MpiRun run = MpiRun.Start(3, scenario, Seconds(timeout));
        string expected = $"all-reduce of 3 float32: {missing} did not arrive within {Seconds(timeout)} s; "
            + "the last completed collective was 1, barrier";
        Assert.All(new[] { 0, 1, 2 }.Where(r => r != late), r => Assert.EndsWith(expected, run.Of(r)));
        AssertFailed(run);
    });

    [Fact]
    public void A_failure_in_a_subgroup_reaches_ranks_that_wait_elsewhere() => TimeoutTest.Run(timeout =>
    {
        MpiRun run = MpiRun.Start(4, "split late", Seconds(timeout));
        Assert.All(new[] { 0, 2, 3 }, r => Assert.Contains("rank 1 did not arrive", run.Of(r)));
        AssertFailed(run);
    });

    [Fact]
    public void Abort_reaches_those_who_wait()
    {
        MpiRun run = MpiRun.Start(3, "abort", "Split");
        Assert.Equal("aborted", run.Of(1));
        const string message = "rank 1 (step 1) failed: the disk is full";
        Assert.All(new[] { 0, 2 }, r => Assert.EndsWith($"{message} [IOException: the disk is full]", run.Of(r)));
        Assert.Contains(message, run.Job.Errors);
        AssertFailed(run);
    }

    [Fact]
    public void Abort_at_a_random_moment_ends_every_rank_with_its_cause()
    {
        MpiRun run = MpiRun.Start(3, "aborts at random", "1");
        Assert.All(Enumerable.Range(0, 3), r => Assert.Contains("rank 1 (on the way) failed: the disk is full [", run.Of(r)));
        AssertFailed(run);
    }

    [Fact]
    public void A_killed_process_ends_the_job()
    {
        MpiRun run = MpiRun.Start(3, "killed");
        Assert.DoesNotContain("no exception", run.Job.Output);
        AssertFailed(run);
    }

    /// <summary>Wherever it stops: others wait for it to arrive, or for its data.</summary>
    [Fact]
    public void A_frozen_process_ends_the_job() => TimeoutTest.Run(timeout =>
    {
        MpiRun run = MpiRun.Start(3, "frozen", Seconds(timeout));
        Assert.All(new[] { 0, 2 }, r => Assert.Contains($"within {Seconds(timeout)} s", run.Of(r)));
        AssertFailed(run);
    });

    [Fact]
    public void A_process_that_ends_in_failure_ends_the_job()
    {
        MpiRun run = MpiRun.Start(3, "exit code");
        Assert.All(new[] { 0, 2 }, r => Assert.EndsWith("barrier: rank 1 ended with exit code 1", run.Of(r)));
        AssertFailed(run);
    }

    [Fact]
    public void An_unhandled_exception_ends_the_job()
    {
        MpiRun run = MpiRun.Start(3, "unhandled");
        Assert.Contains("nobody catches this", run.Job.Errors + run.Job.Output);
        AssertFailed(run);
    }

    [Fact]
    public void Without_a_launcher_it_says_so()
    {
        Assert.SkipWhen(MpiProcessGroup.IsLaunched, "A launcher started the tests.");
        Assert.Contains("mpirun", Assert.Throws<InvalidOperationException>(() => MpiProcessGroup.World(TimeSpan.FromSeconds(1))).Message);
    }

    /// <summary>
    /// The job has ended by itself with an exit code: <see cref="ProgramRun"/> does not wait for the ranks' long time-outs.
    /// </summary>
    private static void AssertFailed(MpiRun run) => Assert.True(run.Job.Exit != 0, run.Job.ToString());

    private static string Seconds(TimeSpan timeout) => timeout.TotalSeconds.ToString(CultureInfo.InvariantCulture);
}
