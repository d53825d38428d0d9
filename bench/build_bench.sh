#!/usr/bin/env bash
# Installs the packages that are missing, builds the benchmarks that the comparing scripts start and prints their
# folder:
#   programs=$(bench/build_bench.sh) && "$programs/train_step" --preset mini
# BERTIE_BUILD names the build folder (default: build/release).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${BERTIE_BUILD:-$root/build/release}
{
  "$root/scripts/install_dependencies.sh" test
  cmake -S "$root" -B "$build" -G Ninja --log-level=WARNING -DBERTIE_BENCH=ON
  cmake --build "$build" --parallel "$(nproc)" --target train_step step_schedule infer tokenize bert_predict
} >&2
echo "$build/bench"
