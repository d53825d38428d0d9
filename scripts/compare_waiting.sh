#!/usr/bin/env bash
# Builds bench/train_step and shows what a training step takes where waiting threads sleep, spin a little as the programs
# have it, or spin as libgomp has it, alone and beside other load. See bench/compare_waiting.py, which gets all arguments.
#   scripts/compare_waiting.sh                       # tiny at 32 × 32 and mini at 32 × 128, beside two busy processes
#   scripts/compare_waiting.sh --busy 4 base:8x128
# BERTIE_BUILD names the build folder (default: build/release).
set -euo pipefail

root=$(dirname "${BASH_SOURCE[0]}")/..
programs=$("$root/bench/build_bench.sh")
exec python3 "$root/bench/compare_waiting.py" --programs "$programs" "$@"
