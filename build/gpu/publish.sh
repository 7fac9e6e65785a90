#!/usr/bin/env bash
# Publishes the program of build/gpu/run.sh into out/gpu: self-contained, trimmed and compressed, without libtorch, which the device's
# PyTorch has. Fails where the program and the repository's own files together are larger than what is carried to a device.
set -euo pipefail
cd "$(dirname "$0")/../.."
most=$((64 * 1024 * 1024))
dotnet publish tests/DiffusionGemma.Gpu -c Release -r linux-x64 --self-contained -v q -nologo -o out/gpu -p:ForDevice=true
program=$(wc -c < out/gpu/DiffusionGemma.Gpu)
files=$(git ls-files -z 2>/dev/null | xargs -0 -r wc -c -- 2>/dev/null | awk '$2 != "total" { sum += $1 } END { printf "%d", sum }')
awk -v program="$program" -v files="$files" -v most="$most" 'BEGIN {
  printf "out/gpu/DiffusionGemma.Gpu: %.1f MB, with the repository %.1f MB of at most %.1f\n", program / 1e6, (program + files) / 1e6, most / 1e6
  exit program + files > most }' || { echo "That is more than can be carried." >&2; exit 1; }
