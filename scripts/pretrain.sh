#!/usr/bin/env bash
# Installs what is missing, builds the programs and pre-trains a small BERT. On the text that bertie brings along it then
# shows how near the model came to the best possible predictions, and how it fills in some [MASK]s.
#   scripts/pretrain.sh                                         on the text that bertie brings along
#   scripts/pretrain.sh --overwrite                             again, where a model is there already
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

# What bert_pretrain --help prints, so that neither --help nor a mistyped option has anything installed or built first.
help=$root/docs/bert_pretrain.txt
if given --help || given -h; then
  sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
  echo
  exec cat "$help"
fi
known=" -h $(grep -o -e '^  [-h,]*--[a-z-]*' "$help" | grep -o -e '--.*' | tr '\n' ' ')"
for argument; do
  [[ ! $argument =~ ^--?[a-zA-Z] || $known == *" ${argument%%=*} "* ]] ||
    { echo "pretrain: there is no option ${argument%%=*} (--help lists them)" >&2; exit 2; }
done

"$root/scripts/install_dependencies.sh"
# A folder that is configured already, perhaps with the tests, stays as it is: reconfiguring would throw objects away.
if [[ ! -f $build/build.ninja ]]; then
  echo "pretrain: configuring $build"
  cmake -S "$root" --preset release --log-level=WARNING
fi
echo "pretrain: building the programs"
cmake --build "$build" --target programs

if given --write-corpus; then exec "$build/bert_pretrain" "$@"; fi

use() {
  [[ ! -e $1/report.html ]] || echo "pretrain: how the training went, to open in a browser: $1/report.html"
  echo "pretrain: the model is in $1; let it fill other gaps with"
  echo "  $build/bert_fill_mask --model $1 --text \"… [MASK] …\""
}
options=()
output=$root/build/pretrained$(! given --corpus || echo _own)
given --output || options+=(--output "$output")
# What is there isn't made anew unasked. (Where options are given, or a run didn't reach its end, bert_pretrain says so.)
if [[ $# -eq 0 ]] && grep --quiet --no-messages '"finished":true' "$output/bertie_training.json"; then
  echo "pretrain: nothing to do: with --overwrite a model is trained anew"
  use "$output"
  exit
fi
# What learns the text that comes along, in two or three minutes on two cores.
if ! { given --corpus || given --preset || given --config || given --model || given --steps || given --epochs ||
  given --tokens || given --time; }; then
  options+=(--config "$root/scripts/language_bert.json" --steps 4500)
  given --mask-probability || options+=(--mask-probability 0.35)
fi
echo "pretrain: bert_pretrain ${options[*]} $*"
model=$("$build/bert_pretrain" "${options[@]}" "$@")

use "$model"
