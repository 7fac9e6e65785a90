#!/usr/bin/env bash
# Publishes the program of build/gpu/run.sh into out/gpu: self-contained, trimmed and compressed, without libtorch, which the device's
# PyTorch has. Fails where the program, or program and repository together, are larger than what is carried to a device.
set -euo pipefail
cd "$(dirname "$0")/../.."
most=$((64 * 1024 * 1024)) program_most=24000000
rm -rf out/gpu
dotnet publish tests/DiffusionGemma.Gpu -c Release -r linux-x64 --self-contained -v q -nologo -o out/gpu -p:ForDevice=true
rm -f out/gpu/*.pdb
program=$(wc -c < out/gpu/DiffusionGemma.Gpu)
files=$(git ls-files -z | xargs -0 -r wc -c -- | awk '$2 != "total" { sum += $1 } END { printf "%d", sum }')
awk -v program="$program" -v files="$files" -v most="$most" 'BEGIN {
  printf "out/gpu/DiffusionGemma.Gpu: %.1f MB, with the repository %.1f MB of at most %.1f\n", program / 1e6, (program + files) / 1e6, most / 1e6 }'
if [ "$program" -gt "$program_most" ] || [ $((program + files)) -gt "$most" ]; then
  echo "That is more than can be carried: at most $program_most bytes of program, and $most in all." >&2
  exit 1
fi
