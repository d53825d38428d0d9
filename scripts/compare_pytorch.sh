#!/usr/bin/env bash
# Builds bench/train_step, installs PyTorch and transformers into a virtual environment and times training steps of both
# in turn: time, memory and ratios. See bench/compare_pytorch.py, which gets all arguments. Half an hour for all cases.
#   scripts/compare_pytorch.sh                                # BERT-base at 32 × 128, 8 × 128, ragged; small models
#   scripts/compare_pytorch.sh --rounds 9 base:8x128 base:ragged
#   scripts/compare_pytorch.sh --isa avx2 --json tiny:8x32    # everything held to AVX2
#   scripts/compare_pytorch.sh --precision bf16 base:8x128
#   scripts/compare_pytorch.sh --optimizer muon mini:16x128
# BERTIE_BUILD names the build folder (default: build/release), BERTIE_PYTHON an interpreter that has what
# scripts/requirements.txt lists (default: the environment that scripts/python_env.sh makes).
set -euo pipefail

root=$(dirname "${BASH_SOURCE[0]}")/..
programs=$("$root/bench/build_bench.sh")
python=${BERTIE_PYTHON:-$("$root/scripts/python_env.sh")}
exec "$python" "$root/bench/compare_pytorch.py" --programs "$programs" "$@"
