using System.Net;
using System.Net.NetworkInformation;
using Microsoft.AspNetCore.Http;

namespace DiffusionGemma;

/// <summary>The addresses that a server listens on.</summary>
/// <param name="Urls">As Kestrel takes them.</param>
internal sealed record ServerAddresses(IReadOnlyList<string> Urls)
{
    private const string Any = "0.0.0.0", AnyV6 = "[::]";

    /// <summary>The loopback alone.</summary>
    public static ServerAddresses Loopback(int port) => new([$"http://127.0.0.1:{port}"]);

    /// <summary>Reads addresses with semicolons between them.</summary>
    /// <exception cref="ToolException">One is none.</exception>
    public static ServerAddresses Parse(string text)
    {
        string[] urls = text.Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        if (urls.Length == 0) throw Wrong(text);
        foreach (string url in urls)
        {
            BindingAddress address;
            try
            {
                address = BindingAddress.Parse(url);
            }
            catch (FormatException)
            {
                throw Wrong(url);
            }
            bool isWeb = address.Scheme.Equals("http", StringComparison.OrdinalIgnoreCase)
                || address.Scheme.Equals("https", StringComparison.OrdinalIgnoreCase);
            if (!isWeb || address.IsUnixPipe || address.IsNamedPipe || address.PathBase.Length > 0 || address.Port > ushort.MaxValue)
                throw Wrong(url);
        }
        return new ServerAddresses(urls);

        static ToolException Wrong(string url) => new(
            ExitCode.Usage, $"--urls '{url}' is no address: write http://HOST:PORT or https://HOST:PORT, with ; between several.");
    }

    /// <summary>True where all of them are this machine's loopback.</summary>
    public bool AreLoopback => Urls.All(IsLoopback);

    /// <summary>True where one is https.</summary>
    public bool NeedCertificate => Urls.Any(IsSecure);

    /// <summary>True where one beyond the loopback is not https.</summary>
    public bool AreOpenToReaders => Urls.Any(url => !IsLoopback(url) && !IsSecure(url));

    /// <summary>
    /// The hosts of the addresses; where they are all of this machine's, its name and its addresses. A page of another site comes under
    /// that site's name, and never under these.
    /// </summary>
    public IReadOnlyList<string> Hosts()
    {
        var hosts = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        foreach (string host in Urls.Where(url => !IsLoopback(url)).Select(url => BindingAddress.Parse(url).Host))
        {
            if (host is not (Any or AnyV6 or "*" or "+"))
            {
                hosts.Add(host);
                continue;
            }
            hosts.Add(Dns.GetHostName());
            foreach (UnicastIPAddressInformation own in NetworkInterface.GetAllNetworkInterfaces()
                .SelectMany(network => network.GetIPProperties().UnicastAddresses))
            {
                string address = own.Address.ToString().Split('%')[0];
                hosts.Add(address.Contains(':') ? $"[{address}]" : address);
            }
        }
        return [.. hosts];
    }

    private static bool IsSecure(string url) => url.StartsWith("https:", StringComparison.OrdinalIgnoreCase);

    private static bool IsLoopback(string url)
    {
        string host = BindingAddress.Parse(url).Host;
        return host.Equals("localhost", StringComparison.OrdinalIgnoreCase)
            || (IPAddress.TryParse(host.Trim('[', ']'), out IPAddress? address) && IPAddress.IsLoopback(address));
    }
}
