#!/usr/bin/env bash
# Installs what is missing, builds the programs and pre-trains a small BERT. On the text that bertie brings along it then
# shows how near the model came to the best possible predictions, and how it fills in some [MASK]s.
#   scripts/pretrain.sh                                         on the text that bertie brings along
#   scripts/pretrain.sh --corpus mine.txt --output my_model     options go to bert_pretrain (see its --help)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build/release

# True where the script was given this option, as "--output DIR" or "--output=DIR".
arguments=("$@")
given() {
  local argument
  for argument in "${arguments[@]}"; do [[ $argument != "$1" && $argument != "$1="* ]] || return 0; done
  return 1
}

"$root/scripts/install_dependencies.sh"
# A folder that is configured already, perhaps with the tests, stays as it is: reconfiguring would throw objects away.
if [[ ! -f $build/build.ninja ]]; then
  echo "pretrain: configuring $build"
  cmake -S "$root" --preset release --log-level=WARNING -DBERTIE_TESTS=OFF -DBERTIE_BENCH=OFF
fi
echo "pretrain: building the programs"
cmake --build "$build" --target programs

if given --help || given -h; then exec "$build/bert_pretrain" --help; fi
if given --write-corpus; then exec "$build/bert_pretrain" "$@"; fi

options=()
# The model of the text that comes along may be made anew at any time; one of your own text is not replaced unasked.
given --output || options+=(--output "$root/build/pretrained$(! given --corpus || echo _own)")
given --output || given --corpus || options+=(--overwrite)
# What learns the text that comes along, in a minute or two on two cores.
given --corpus || given --preset || given --config || given --steps || given --epochs || given --learning-rate ||
  options+=(--config "$root/scripts/language_bert.json" --learning-rate 2e-3 --steps 4500)
echo "pretrain: bert_pretrain ${options[*]} $*"
model=$("$build/bert_pretrain" "${options[@]}" "$@")

echo "pretrain: the model is in $model; let it fill other gaps with"
echo "  $build/bert_fill_mask --model $model --text \"… [MASK] …\""
