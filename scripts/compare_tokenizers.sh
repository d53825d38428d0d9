#!/usr/bin/env bash
# Builds bench/tokenize, installs `tokenizers` into a virtual environment and times both in turn. See
# bench/compare_tokenizers.py, which gets all arguments. A minute.
#   scripts/compare_tokenizers.sh --vocab bert-base-uncased/vocab.txt corpus.txt
# BERTIE_BUILD names the build folder (default: build/release), BERTIE_PYTHON an interpreter that has what
# scripts/requirements.txt lists (default: the environment that scripts/python_env.sh makes).
set -euo pipefail

root=$(dirname "${BASH_SOURCE[0]}")/..
programs=$("$root/bench/build_bench.sh")
python=${BERTIE_PYTHON:-$("$root/scripts/python_env.sh")}
exec "$python" "$root/bench/compare_tokenizers.py" --programs "$programs" "$@"
