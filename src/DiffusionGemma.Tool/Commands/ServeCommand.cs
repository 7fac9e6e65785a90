using System.CommandLine;

namespace DiffusionGemma;

/// <summary>Serves a model by OpenAI's protocol, with the page.</summary>
internal static class ServeCommand
{
    private const int DefaultPort = 8080, DefaultBatch = 8, DefaultRequests = 64;

    public static Command Create(CommandContext context)
    {
        var name = new Argument<string>("MODEL") { Description = ModelReference.Help };
        Option<int?> port = CommonOptions.Number("--port", $"The port on the loopback (default: {DefaultPort}; 0: any free one).", 0);
        Option<string?> urls = CommonOptions.Text(
            "--urls", "Addresses in place of the loopback's, with ; between them. Beyond the loopback they need a key in the variable "
                + $"{DiffusionGemmaServerOptions.ApiKeyVariable}.", "URLS");
        Option<string?> certificate = CommonOptions.Text("--certificate", "The certificate of https addresses (PEM).", "FILE");
        Option<string?> key = CommonOptions.Text("--certificate-key", "Its private key (PEM; default: in the same file).", "FILE");
        var hosts = new Option<string[]>("--allowed-host")
        {
            Description = "A name that requests may be addressed to, besides this machine's own; may be repeated.", HelpName = "NAME",
        };
        Option<string?> called = CommonOptions.Text(
            "--name", "The model's name in requests (default: its id on the Hub, or its folder's name).", "NAME");
        var adapters = new Option<string[]>("--adapter")
        {
            Description = "A further adapter that answers requests for NAME: a PEFT folder, a run's folder, or an id; may be repeated.",
            HelpName = "NAME=FOLDER",
        };
        var changes = new Option<bool>("--adapter-changes")
        {
            Description = "Let clients load and unload adapters (POST /v1/load_lora_adapter, /v1/unload_lora_adapter).",
        };
        Option<int?> batch = CommonOptions.BatchSize("Requests answered together", DefaultBatch);
        Option<int?> requests = CommonOptions.Number(
            "--max-requests", $"Requests that are answered or wait; one more is refused (default: {DefaultRequests}).", 1);
        Option<string?> runs = CommonOptions.Text(
            "--runs", "A run's folder, or a folder of runs, whose curves the page shows while they train.", "FOLDER");
        var logs = new Option<bool>("--log-prompts") { Description = "Show the last message of each request." };
        var silent = new Option<bool>("--no-page") { Description = "Serve no page." };
        var command = new Command(
            "serve", "Serves a model by OpenAI's protocol, and a page to talk with it. Ctrl+C ends running answers first.")
        {
            name, port, urls, certificate, key, hosts, called, adapters, changes, batch, requests, runs, logs, silent,
        };
        Option<string?> template = CommonOptions.ChatTemplate;
        command.Add(template);
        var quantization = new QuantizationOption(command);
        var device = new DeviceOption(command);
        var generation = new GenerationArguments(command);
        command.SetAction(async (parsed, cancellation) =>
        {
            if (parsed.GetValue(port) is not null && parsed.GetValue(urls) is not null)
                throw new ToolException(ExitCode.Usage, "--port and --urls exclude each other: name one.");
            if (parsed.GetValue(port) > ushort.MaxValue)
                throw new ToolException(ExitCode.Usage, $"--port {parsed.GetValue(port)} is above {ushort.MaxValue}.");
            if (parsed.GetValue(called) is { } own && string.IsNullOrWhiteSpace(own))
                throw new ToolException(ExitCode.Usage, "--name is blank: give the name that requests use, or leave the option out.");
            var settings = new ServeSettings
            {
                Model = parsed.GetValue(name)!,
                Addresses = parsed.GetValue(urls) is { } given
                    ? ServerAddresses.Parse(given) : ServerAddresses.Loopback(parsed.GetValue(port) ?? DefaultPort),
                Certificate = parsed.GetValue(certificate),
                CertificateKey = parsed.GetValue(key),
                AllowedHosts = parsed.GetValue(hosts) ?? [],
                Name = parsed.GetValue(called),
                Adapters = NamedAdapters.Parse(parsed.GetValue(adapters) ?? []),
                ChangesAdapters = parsed.GetValue(changes),
                BatchSize = parsed.GetValue(batch) ?? DefaultBatch,
                MaxRequests = parsed.GetValue(requests) ?? DefaultRequests,
                Quantization = quantization.Read(parsed),
                Runs = parsed.GetValue(runs),
                LogsPrompts = parsed.GetValue(logs),
                ServesPage = !parsed.GetValue(silent),
                ChatTemplate = parsed.GetValue(template),
                Device = device.Read(parsed),
                Generation = generation.Read(parsed),
            };
            return await ModelServer.RunAsync(settings, context, cancellation);
        });
        return command;
    }
}
