#!/usr/bin/env bash
# Builds bench/infer, installs PyTorch, transformers, ONNX Runtime and OpenVINO into a virtual environment and times
# BERT-base's encoder in bertie and in those of them that have the precision in turn, after comparing their results. See
# bench/compare_inference.py, which gets all arguments. Ten minutes for all cases.
#   BERTIE_TEST_DATA=data scripts/compare_inference.sh        # texts of 16, 128 and 384 tokens, lines of SST-2
#   scripts/compare_inference.sh --precision int8 128         # or bf16; beside bertie in f32, too
#   scripts/compare_inference.sh --isa avx2 --json 16 128     # everything held to AVX2
#   scripts/compare_inference.sh --vocab vocab.txt lines.tsv  # texts of your own
# BERTIE_BUILD names the build folder (default: build/release), BERTIE_PYTHON an interpreter that has what
# scripts/requirements.txt lists (default: the environment that scripts/python_env.sh makes).
set -euo pipefail

root=$(dirname "${BASH_SOURCE[0]}")/..
programs=$("$root/bench/build_bench.sh")
python=${BERTIE_PYTHON:-$("$root/scripts/python_env.sh")}
exec "$python" "$root/bench/compare_inference.py" --programs "$programs" "$@"
