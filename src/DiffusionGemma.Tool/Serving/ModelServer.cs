using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.ML;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;

namespace DiffusionGemma;

/// <summary>A model behind Kestrel until Ctrl+C.</summary>
internal static class ModelServer
{
    private const string Metrics = "/metrics";

    /// <summary>Upper limits of a histogram's buckets.</summary>
    private static readonly double[] Seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

    /// <inheritdoc cref="Seconds"/>
    private static readonly double[] Counts = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128, 256];

    /// <summary>The longest that running answers may take once the server stops.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

    /// <summary>Serves until the tool is interrupted; running answers end first.</summary>
    /// <returns>Never <see cref="ExitCode.Success"/>: it is stopped, or fails.</returns>
    public static async Task<int> RunAsync(ServeSettings settings, CommandContext context, CancellationToken cancellation)
    {
        DiffusionGemmaServerOptions access = Access(settings, context.Output);
        using X509Certificate2? certificate = Certificate(settings);
        if (settings.Runs is { } runs && !Directory.Exists(runs))
            throw new ToolException(ExitCode.Usage, $"--runs {runs} is no folder.{DataFiles.Nearest(runs)}");
        if (settings.ChatTemplate is { } template) DataFiles.RequireFile(template, ExitCode.Usage);
        ModelReference reference = await ModelReference.FindAsync(settings.Model, context);
        string name = settings.Name ?? ModelName(settings.Model);

        if (settings.Adapters.ContainsKey(name))
            throw new ToolException(ExitCode.Usage, $"--adapter {name}: the model is called so too; take another name, or --name.");
        IReadOnlyDictionary<string, string> adapters = await NamedAdapters.FindAsync(settings.Adapters, context);

        ToolModel? model = null;
        using var loaded = new NamedAdapters();
        try
        {
            DiffusionGemmaChatClient Load()
            {
                MLContext ml = LogLines.CreateContext(context.Output);
                model = ToolModel.Load(ml, reference, settings.Device, settings.ChatTemplate, settings.Quantization);
                return Stage.Model(() =>
                {
                    DiffusionGemmaChatClient client = model.CreateChatClient(settings.Generation, settings.BatchSize, name);
                    loaded.Load(client, model.Answers, adapters);
                    return client;
                });
            }

            await using WebApplication application = Build(settings, name, Load, access, certificate, context.Output);
            await StartAsync(application, settings);
            string address = Address(application);
            context.Output.Say($"loading {settings.Model}; {address}/health says when it is ready");
            context.Interruption.AtOnce = Interruption.Stopped;            // weights take minutes to be read
            await application.Services.GetRequiredService<DiffusionGemmaService>().GetClientAsync(cancellation);
            context.Interruption.AtOnce = null;
            Tell(context.Output, address, name, settings, access);
            context.Interruption.Message = "Stopping when the running answers have ended. Ctrl+C again ends at once.";
            await WaitAsync(cancellation);
            await application.StopAsync(CancellationToken.None);
            throw new ToolException(ExitCode.Cancelled, "Stopped; all answers that ran have ended.");
        }
        finally
        {
            model?.Dispose();
        }
    }

    private static WebApplication Build(
        ServeSettings settings, string name, Func<DiffusionGemmaChatClient> load, DiffusionGemmaServerOptions access,
        X509Certificate2? certificate, ToolOutput output)
    {
        // Empty: an appsettings.json that lies in the working folder, and ASPNETCORE_ variables, may not move the server elsewhere.
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddRoutingCore();
        builder.Services.AddSingleton<IHostLifetime, NoLifetime>();
        builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = Patience);
        builder.Logging.AddProvider(new ServerLog(output));
        builder.WebHost.UseKestrel(options =>
        {
            options.AddServerHeader = false;
            if (certificate is not null) options.ConfigureHttpsDefaults(https => https.ServerCertificate = certificate);
        });
        builder.WebHost.UseUrls([.. settings.Addresses.Urls]);
        builder.Services.AddDiffusionGemmaClient(name, _ => load());
        builder.Services.AddOpenTelemetry()
            .ConfigureResource(resource => resource.AddService(UsageErrors.RootName))
            .WithMetrics(metrics => metrics
                .AddMeter(DiffusionGemmaTelemetry.Name, "Microsoft.AspNetCore.Hosting", "System.Runtime")
                // The exporter's own buckets begin at 5: too coarse for seconds, and for tokens a pass.
                .AddView(instrument => new ExplicitBucketHistogramConfiguration { Boundaries = instrument.Unit == "s" ? Seconds : Counts })
                .AddPrometheusExporter());
        WebApplication application = builder.Build();
        application.UseRouting();
        application.MapDiffusionGemma(options =>
        {
            (options.ApiKey, options.AllowedHosts) = (access.ApiKey, access.AllowedHosts);
            (options.MaxRequests, options.LogsPrompts, options.ServesPage) =
                (access.MaxRequests, access.LogsPrompts, access.ServesPage);
            (options.RunsFolder, options.ChangesAdapters) = (settings.Runs, settings.ChangesAdapters);
            options.GuardedEndpoints = guarded => guarded.MapPrometheusScrapingEndpoint(Metrics);
        });
        return application;
    }

    /// <summary>Checks that nobody beyond this machine is served without a key.</summary>
    private static DiffusionGemmaServerOptions Access(ServeSettings settings, ToolOutput output)
    {
        const string Variable = DiffusionGemmaServerOptions.ApiKeyVariable;
        var options = new DiffusionGemmaServerOptions
        {
            MaxRequests = settings.MaxRequests, LogsPrompts = settings.LogsPrompts, ServesPage = settings.ServesPage,
            AllowedHosts = [.. settings.Addresses.Hosts(), .. settings.AllowedHosts],
        };
        if (options.ApiKey is null && !settings.Addresses.AreLoopback)
            throw new ToolException(
                ExitCode.Usage, $"--urls leads beyond this machine: put a key of at least 16 characters into the variable {Variable}.");
        if (options.ApiKey is { Length: < 16 })
            throw new ToolException(ExitCode.Usage, $"The key in {Variable} is shorter than 16 characters: take a longer one.");
        if (settings.Addresses.AreOpenToReaders)
            output.Say("Warning: without https the key, questions and answers can be read on the way: use https addresses with "
                + "--certificate, or a proxy with TLS.");
        return options;
    }

    private static X509Certificate2? Certificate(ServeSettings settings)
    {
        if (settings.Certificate is not { } file)
        {
            return !settings.Addresses.NeedCertificate && settings.CertificateKey is null ? null : throw new ToolException(
                ExitCode.Usage, "https needs a --certificate (PEM), with its key in the same file or in --certificate-key.");
        }
        if (!settings.Addresses.NeedCertificate)
            throw new ToolException(ExitCode.Usage, "--certificate is for https addresses: name one in --urls.");
        DataFiles.RequireFile(file, ExitCode.Usage);
        if (settings.CertificateKey is { } key) DataFiles.RequireFile(key, ExitCode.Usage);
        try
        {
            return X509Certificate2.CreateFromPemFile(file, settings.CertificateKey);
        }
        catch (Exception error) when (error is CryptographicException or IOException or UnauthorizedAccessException)
        {
            throw new ToolException(ExitCode.Usage, $"--certificate {file} cannot be used: {error.Message}", error);
        }
    }

    private static async Task StartAsync(WebApplication application, ServeSettings settings)
    {
        try
        {
            await application.StartAsync();
        }
        catch (Exception error) when (error is IOException or System.Net.Sockets.SocketException or InvalidOperationException)
        {
            throw new ToolException(
                ExitCode.Usage, $"{string.Join(';', settings.Addresses.Urls)} cannot be listened on ({error.Message}): "
                    + "name another --port, or other --urls.", error);
        }
    }

    /// <summary>The first address that is listened on, as a browser takes it.</summary>
    private static string Address(WebApplication application)
    {
        ICollection<string> addresses = application.Services.GetRequiredService<IServer>().Features
            .Get<IServerAddressesFeature>()!.Addresses;
        return addresses.First().Replace("0.0.0.0", "localhost", StringComparison.Ordinal)
            .Replace("[::]", "localhost", StringComparison.Ordinal).TrimEnd('/');
    }

    private static void Tell(
        ToolOutput output, string address, string name, ServeSettings settings, DiffusionGemmaServerOptions access)
    {
        string page = access.ServesPage ? $"the page is {address}/; " : "";
        output.Result(
            $"{name} is served: {page}clients of OpenAI take {address}/v1" + (access.ApiKey is null ? "" : " and the key"),
            new
            {
                Event = "serving", Model = name, Page = access.ServesPage ? $"{address}/" : null, Api = $"{address}/v1",
                settings.Addresses.Urls, AsksForKey = access.ApiKey is not null,
            });
        output.Out.Flush();
    }

    private static async Task WaitAsync(CancellationToken cancellation) =>
        await Task.Delay(Timeout.Infinite, cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

    /// <summary>An id on the Hub without its revision, or the name of a folder or file.</summary>
    private static string ModelName(string model)
    {
        const string Zip = ".zip";
        if (HubRepository.IsId(model)) return HubId.Parse(model).Repository;
        string name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(model)));
        return name.EndsWith(Zip, StringComparison.OrdinalIgnoreCase) ? name[..^Zip.Length] : name;
    }
}
