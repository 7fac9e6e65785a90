using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Xml.Linq;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

/// <summary>
/// Writes a bill of materials in CycloneDX's JSON, the same bytes for the same packages. (MSBuild compiles this with an old language version.)
/// </summary>
public class WriteBillOfMaterials : Task
{
    /// <summary>Files of packages, with their NuGetPackageId, NuGetPackageVersion and PathInPackage.</summary>
    public ITaskItem[] Files { get; set; }

    [Required]
    public string Name { get; set; }

    [Required]
    public string Version { get; set; }

    [Required]
    public string License { get; set; }

    [Required]
    public string Destination { get; set; }

    public override bool Execute()
    {
        SortedDictionary<string, string> components = new SortedDictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        foreach (ITaskItem file in Files ?? new ITaskItem[0])
        {
            string id = file.GetMetadata("NuGetPackageId"), inPackage = file.GetMetadata("PathInPackage");
            if (id.Length == 0 || inPackage.Length == 0 || components.ContainsKey(id)) continue;
            string path = Path.GetFullPath(file.ItemSpec);
            components[id] = Component(id, file.GetMetadata("NuGetPackageVersion"), path.Substring(0, path.Length - inPackage.Length));
        }
        string text = "{\n  \"bomFormat\": \"CycloneDX\",\n  \"specVersion\": \"1.6\",\n  \"version\": 1,\n  \"metadata\": {\n    \"component\": "
            + "{ \"type\": \"library\", " + Identity(Name, Version) + ", \"licenses\": [{ \"expression\": " + Quoted(License) + " }] }\n  },\n"
            + "  \"components\": [\n    " + string.Join(",\n    ", components.Values) + "\n  ]\n}\n";
        Directory.CreateDirectory(Path.GetDirectoryName(Destination));
        File.WriteAllText(Destination, text, new UTF8Encoding(false));
        return true;
    }

    private static string Component(string id, string version, string folder)
    {
        string hash = Path.Combine(folder, (id + "." + version).ToLowerInvariant() + ".nupkg.sha512");
        string digest = !File.Exists(hash) ? "" : ", \"hashes\": [{ \"alg\": \"SHA-512\", \"content\": \"" + string.Concat(
            Convert.FromBase64String(File.ReadAllText(hash).Trim()).Select(one => one.ToString("x2"))) + "\" }]";
        return "{ \"type\": \"library\", " + Identity(id, version) + digest + ", \"licenses\": [" + LicenseOf(id, folder) + "] }";
    }

    private static string Identity(string id, string version)
    {
        string purl = "pkg:nuget/" + id + "@" + version;
        return "\"bom-ref\": " + Quoted(purl) + ", \"name\": " + Quoted(id) + ", \"version\": " + Quoted(version) + ", \"purl\": " + Quoted(purl);
    }

    /// <summary>What the package says of itself: an expression of SPDX, or a file's name or an address.</summary>
    private static string LicenseOf(string id, string folder)
    {
        string path = Path.Combine(folder, id.ToLowerInvariant() + ".nuspec");
        if (!File.Exists(path)) return "";
        List<XElement> elements = XDocument.Load(path).Descendants().ToList();
        XElement license = elements.FirstOrDefault(one => one.Name.LocalName == "license");
        if (license != null && (string)license.Attribute("type") == "expression") return "{ \"expression\": " + Quoted(license.Value) + " }";
        XElement address = elements.FirstOrDefault(one => one.Name.LocalName == "licenseUrl");
        string name = license != null ? "see " + license.Value + " in the package" : address != null ? "see " + address.Value : null;
        return name == null ? "" : "{ \"license\": { \"name\": " + Quoted(name) + " } }";
    }

    private static string Quoted(string text)
    {
        return "\"" + text.Replace("\\", "\\\\").Replace("\"", "\\\"") + "\"";
    }
}
