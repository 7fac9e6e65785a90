#!/usr/bin/env bash
# Publishes the program of build/gpu/run.sh into out/gpu: self-contained and compressed, without libtorch, which the device's PyTorch has.
set -euo pipefail
cd "$(dirname "$0")/../.."
dotnet publish tests/DiffusionGemma.Gpu -c Release -r linux-x64 --self-contained -v q -nologo -o out/gpu \
  -p:PublishSingleFile=true -p:EnableCompressionInSingleFile=true -p:IncludeNativeLibrariesForSelfExtract=true \
  -p:DebugType=none -p:PublishDocumentationFiles=false
du -k out/gpu/DiffusionGemma.Gpu | awk '{ printf "out/gpu/DiffusionGemma.Gpu: %.1f MB\n", $1 * 1024 / 1e6 }'
