#!/usr/bin/env bash
# Proves a directory that should hold the published bert-base-uncased (config.json, vocab.txt, model.safetensors): its
# tokens for one sentence, and the first 20 components of one embedding, to 1e-4.
#   scripts/check_bert_base_uncased.sh DIR [BUILD_FOLDER]
set -euo pipefail
[[ $# -ge 1 && $# -le 2 && -d $1 ]] || { echo "usage: scripts/check_bert_base_uncased.sh DIR [BUILD_FOLDER]" >&2; exit 2; }
build=${2:-$(dirname "${BASH_SOURCE[0]}")/../build/release}
[[ -x $build/bert_embed ]] || { echo "check: there is no $build/bert_embed: run scripts/pretrain.sh, it builds everything" >&2; exit 2; }

json=$("$build/bert_embed" --model "$1" --text "Hello, how are you?" --no-special-tokens --json)
tokens=$(sed -E 's/^\{"tokens":\[([^]]*)\].*/\1/; s/"//g; s/,,,/,COMMA,/; s/,/ /g; s/COMMA/,/' <<<"$json")
echo "tokens: $tokens"
[[ $tokens == "hello , how are you ?" ]] || { echo "check: they should be: hello , how are you ?" >&2; exit 1; }

# Of the first token, the first 20 components.
embedding=$(sed -E 's/.*"embeddings":\[\[([^]]*)\].*/\1/' <<<"$json" | cut -d, -f1-20)
awk -v got="$embedding" '
  BEGIN {
    count = split("-0.39924 -0.034411 -0.33965 -0.28517 -0.039406 -0.19003 0.25025 0.014996 0.058878 0.29270 " \
                  "-0.57878 -0.49853 -1.1511 -0.52913 -0.70896 0.65086 0.55685 0.11373 -0.058340 -0.047555", wanted, " ")
    if (split(got, values, ",") != count) { print "check: there are fewer than " count " components"; exit 1 }
    for (i = 1; i <= count; ++i) {
      difference = values[i] - wanted[i]
      if (difference < 0) difference = -difference
      if (values[i] !~ /^-?[0-9]/ || !(difference <= 1e-4)) wrong = 1
      if (difference > largest) largest = difference
      printf "%3d  %10.6f  expected %10.6f\n", i, values[i], wanted[i]
    }
    printf "largest difference %.1e, allowed 1e-4\n", largest
    exit wrong
  }' || { echo "check: this is not bert-base-uncased, or it is computed wrongly" >&2; exit 1; }
