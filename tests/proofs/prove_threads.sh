#!/usr/bin/env bash
# The same bits on any number of threads: pre-trains a mini BERT with dropout for 200 steps on real text with 1, 2 and 3
# threads, and fails unless the three model files are byte for byte the same and 2 threads train at least 1.5 times as
# fast as 1 (on a machine with two idle cores). About 5 minutes on 2 cores.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${BERTIE_TEST_DATA:?set BERTIE_TEST_DATA to the folder that holds corpora/movie-reviews}"
cmake -S . -B build/release -G Ninja --log-level=WARNING
cmake --build build/release --target bert_pretrain
for threads in 1 2 3; do
  output=build/prove_threads/$threads
  mkdir -p "$output"
  build/release/bert_pretrain --corpus "$BERTIE_TEST_DATA/corpora/movie-reviews/rt-polarity.pos" --preset mini \
    --vocab-size 4096 --steps 200 --threads $threads --output "$output" --overwrite 2>&1 | tee "$output.log"
done
cmp build/prove_threads/1/model.safetensors build/prove_threads/2/model.safetensors
cmp build/prove_threads/1/model.safetensors build/prove_threads/3/model.safetensors
echo "The three model files are the same."
seconds() { sed -n 's/^200 steps in .*(\([0-9.]*\) s)$/\1/p' "build/prove_threads/$1.log"; }
awk -v one="$(seconds 1)" -v two="$(seconds 2)" 'BEGIN {
  printf "200 steps: %.1f s on one thread, %.1f s on two: %.2f times as fast (at least 1.5)\n", one, two, one / two
  exit !(one / two >= 1.5)
}'
