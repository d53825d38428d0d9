#!/usr/bin/env bash
# Builds bench/train_step and shows what two threads bring to a training step, beside what they bring to independent
# matrix products. See bench/compare_threads.py, which gets all arguments.
#   scripts/compare_threads.sh                       # BERT-base at 32 × 128 and at 8 × 128
#   scripts/compare_threads.sh --threads 4 small:32x128
# BERTIE_BUILD names the build folder (default: build/release).
set -euo pipefail

root=$(dirname "${BASH_SOURCE[0]}")/..
programs=$("$root/bench/build_bench.sh")
exec python3 "$root/bench/compare_threads.py" --programs "$programs" "$@"
