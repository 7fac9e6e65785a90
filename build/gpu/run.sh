#!/usr/bin/env bash
# Proves and measures the library on a GPU: build/gpu/run.sh [--stages 1,2,3,4,5] [--out FOLDER] [--device cuda|cpu] [--quick].
# The machine needs a driver and Python with PyTorch 2.10 or 2.11, transformers and PEFT; no .NET SDK and no network, where
# build/gpu/publish.sh has run before, on any machine, in the same checkout.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
program=$root/out/gpu/DiffusionGemma.Gpu
if [ ! -x "$program" ]; then
  command -v dotnet >/dev/null || { echo "There is no $program and no .NET SDK: run build/gpu/publish.sh where there is one." >&2; exit 2; }
  "$root/build/gpu/publish.sh" >&2
fi
if [ -z "${DIFFUSIONGEMMA_LIBTORCH:-}" ]; then
  # found without importing it, which takes seconds
  find='import importlib.util as u, os; print(os.path.join(u.find_spec("torch").submodule_search_locations[0], "lib"))'
  DIFFUSIONGEMMA_LIBTORCH=$(python3 -c "$find" 2>/dev/null) || {
    echo "python3 has no PyTorch: name the folder of libtorch's libraries by DIFFUSIONGEMMA_LIBTORCH." >&2; exit 2; }
  export DIFFUSIONGEMMA_LIBTORCH
fi
exec "$program" "$@"
