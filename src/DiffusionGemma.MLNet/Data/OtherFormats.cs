namespace DiffusionGemma;

/// <summary>Tells files that are no JSON Lines by how they begin.</summary>
internal static class OtherFormats
{
    /// <param name="line">The first line that is not blank.</param>
    /// <returns>The kind of file and what to do; null where it may be JSON Lines.</returns>
    public static string? Find(ReadOnlySpan<byte> line) => line switch
    {
        [(byte)'{'] => "this is a JSON file, not JSON Lines: give a list of rows, or write each row on a line of its own "
            + "(jq -c . rows.json > rows.jsonl)",
        [0xFF, 0xFE, ..] or [0xFE, 0xFF, ..] => "this file is UTF-16: save it as UTF-8",
        [0x1F, 0x8B, ..] => "this file is compressed by gzip: unpack it first (gunzip)",
        [0x28, 0xB5, 0x2F, 0xFD, ..] => "this file is compressed by zstd: unpack it first (unzstd)",
        [(byte)'P', (byte)'K', 3, 4, ..] => "this file is a zip archive: unpack it first",
        _ when line.StartsWith("PAR1"u8) => "this is a parquet file: load it by LoadChatFromParquet, or name it .parquet",
        _ when line.StartsWith("version https://git-lfs"u8) => "this file is a pointer of Git LFS, not the data: fetch it (git lfs pull)",
        [(byte)'<', ..] => "this is an HTML or XML page, not JSON Lines: fetch the file itself",
        _ => null,
    };
}
