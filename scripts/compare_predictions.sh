#!/usr/bin/env bash
# Builds bert_predict, installs transformers and ONNX Runtime into a virtual environment and times the three in turn on
# the texts of a file. See bench/compare_predictions.py, which gets all arguments. A few minutes.
#   scripts/compare_predictions.sh --model sentiment SST-2/test.tsv
#   scripts/compare_predictions.sh --model sentiment --isa avx2 --json SST-2/test.tsv   # all but ONNX Runtime held to AVX2
# BERTIE_BUILD names the build folder (default: build/release), BERTIE_PYTHON an interpreter that has what
# scripts/requirements.txt lists (default: the environment that scripts/python_env.sh makes).
set -euo pipefail

root=$(dirname "${BASH_SOURCE[0]}")/..
programs=$("$root/bench/build_bench.sh")
python=${BERTIE_PYTHON:-$("$root/scripts/python_env.sh")}
exec "$python" "$root/bench/compare_predictions.py" --programs "$programs" "$@"
