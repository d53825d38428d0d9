#!/usr/bin/env bash
# Builds wordpiece, installs `tokenizers` and transformers into a virtual environment and proves the tokenizer against
# them. See prove_tokenizer.py, which gets all further arguments. Half an hour; with --only train, decode or random minutes.
#   tests/proofs/prove_tokenizer.sh DATA     # DATA/vocab/bert-base-….txt, DATA/corpora/wikitext-2/{valid,test}.txt
# BERTIE_BUILD names the build folder (default: build/release), BERTIE_PYTHON an interpreter that has what
# scripts/requirements.txt lists (default: the environment that scripts/python_env.sh makes).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
data=${1:?usage: prove_tokenizer.sh DATA [OPTIONS of prove_tokenizer.py]}
shift
build=${BERTIE_BUILD:-$root/build/release}
{
  "$root/scripts/install_dependencies.sh"
  cmake -S "$root" -B "$build" -G Ninja --log-level=WARNING
  cmake --build "$build" --parallel "$(nproc)" --target wordpiece
} >&2
python=${BERTIE_PYTHON:-$("$root/scripts/python_env.sh")}
exec "$python" "$root/tests/proofs/prove_tokenizer.py" --program "$build/wordpiece" --data "$data" "$@"
