#!/usr/bin/env bash
# Builds bench/train_step and times its steps in turn with PyTorch's: see compare_train_step.py, which gets all arguments.
#   scripts/compare_train_step.sh                            # base at 8 × 128 and tiny at 8 × 32
#   scripts/compare_train_step.sh --rounds 9 base:8x128 base:ragged
# BERTIE_BUILD names the build folder (default: build/release), BERTIE_PYTHON an interpreter that has what requirements.txt
# lists (default: the environment that python_env.sh makes).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${BERTIE_BUILD:-$root/build/release}
{
  cmake -S "$root" -B "$build" -G Ninja -DBERTIE_BENCH=ON
  cmake --build "$build" --parallel "$(nproc)" --target train_step
} >&2
python=${BERTIE_PYTHON:-$("$root/scripts/python_env.sh")}
exec "$python" "$root/scripts/compare_train_step.py" --programs "$build/bench" "$@"
