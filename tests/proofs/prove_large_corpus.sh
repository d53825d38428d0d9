#!/usr/bin/env bash
# A corpus larger than the memory that may be used: vocabulary, tokenization and training within 1 GiB of
# anonymous resident memory (what isn't backed by a file), on a generated text of 2 GB. Prints the throughput.
#   tests/proofs/prove_large_corpus.sh [BUILD [BYTES [STEPS]]]
# The temporary folder needs room for the text and, once more as much, for its tokens.
set -euo pipefail

build=$(realpath "${1:-build/release}")
bytes=${2:-2e9}
steps=${3:-20}
limit_kib=$((1 << 20))
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

cmake --build "$build" --target make_words bert_pretrain wordpiece >/dev/null
echo "making $bytes bytes of text"
mkdir text
"$build/tests/make_words" "$bytes" | split --bytes 256M - text/part- # cuts words in two here and there
megabytes=$(($(cat text/* | wc -c) / 1000000))

# limited WHAT COMMAND...: runs it, and fails where its anonymous memory exceeds the limit at any tenth of a second.
limited() {
  local what=$1 begin peak=0 now seconds
  shift
  begin=$(date +%s.%N)
  "$@" 2>>log &
  local process=$!
  while now=$(awk '/^RssAnon/ {print $2}' /proc/$process/status 2>/dev/null) && [[ -n $now ]]; do
    ((now > peak)) && peak=$now
    if ((peak > limit_kib)); then
      kill $process
      echo "$what: $((peak / 1024)) MiB of anonymous memory, more than $((limit_kib / 1024))" >&2
      exit 1
    fi
    sleep 0.1
  done
  wait $process || { cat log >&2; exit 1; }
  seconds=$(awk "BEGIN {print $(date +%s.%N) - $begin}")
  echo "$what: $seconds s for $megabytes MB, at most $((peak / 1024)) MiB of anonymous memory"
}

limited "vocabulary alone (wordpiece train)" "$build/wordpiece" train --input text --output vocab.txt
train=("$build/bert_pretrain" --corpus text --preset tiny --steps "$steps" --cache cache)
limited "vocabulary, tokens and $steps steps" "${train[@]}" --output first
limited "$steps steps, text and tokens as before" "${train[@]}" --vocab first/vocab.txt --output second
grep -E "^(Text|Note)" log
cmp first/model.safetensors second/model.safetensors && echo "both models are the same"
