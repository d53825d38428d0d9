#!/usr/bin/env bash
# Does bert_pretrain learn what PyTorch and transformers learn, and how long do both take? A mini BERT on WikiText-2
# (test.txt; held out: valid.txt) without dropout, both from the same start on the same batches. Fails unless the first
# 100 losses agree to 1e-3 and the means of the held-out losses over the seeds to 0.03 nat (compare_wikitext.py).
#   tests/proofs/prove_wikitext.sh [FOLDER]           three seeds, one after the other; half an hour on 2 cores
#   SEEDS=2 tests/proofs/prove_wikitext.sh FOLDER     one of them, compared with what is in FOLDER already
# SEEDS (1 2 3), STEPS (1000), BATCH_TOKENS (1024), THREADS (2) are variables; FOLDER (build/prove_wikitext) gets a
# folder for each seed. REFERENCE_STEPS=100: PyTorch also trains so many steps in f64.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${BERTIE_TEST_DATA:?set BERTIE_TEST_DATA to the folder that holds corpora/wikitext-2}"
text=$BERTIE_TEST_DATA/corpora/wikitext-2
folder=${1:-build/prove_wikitext}
steps=${STEPS:-1000}
threads=${THREADS:-2}
rate=1e-3 warmup=$(((steps + 19) / 20))  # what bert_pretrain does by itself
export OMP_NUM_THREADS=$threads
# Each step has a line in metrics.jsonl only in runs of at most so many.
if ((steps > 2000)); then
  echo "STEPS must be at most 2000" >&2
  exit 2
fi
build=build/release
cmake -S . -B "$build" -G Ninja --log-level=WARNING -DBERTIE_TESTS=ON -DBERTIE_BENCH=ON
cmake --build "$build" --target bert_pretrain wordpiece write_mlm_run machine_rates
python=$(scripts/python_env.sh)
mkdir -p "$folder"
[[ -e $folder/vocab.txt ]] || "$build/wordpiece" train --input "$text/test.txt" --size 8192 --output "$folder/vocab.txt"

for seed in ${SEEDS:-1 2 3}; do
  run=$folder/seed-$seed
  rm -rf "$run"
  mkdir "$run"
  options=(--corpus "$text/test.txt" --held-out "$text/valid.txt" --cache "$folder/cache" --vocab "$folder/vocab.txt"
           --preset mini --max-length 128 --dropout 0 --unscored '<' unk '>' --batch-tokens "${BATCH_TOKENS:-1024}"
           --steps "$steps" --optimizer adamw --learning-rate "$rate" --warmup "$warmup" --seed "$seed" --threads "$threads")
  sgemm() { "$build/bench/machine_rates" --json --threads "$threads" >>"$run/sgemm.jsonl"; }
  "$build/tests/write_mlm_run" "${options[@]}" --output "$run"
  sgemm
  "$build/bert_pretrain" "${options[@]}" --output "$run/bertie"
  sgemm
  "$python" tests/proofs/compare_wikitext.py train --run "$run" --learning-rate "$rate" --warmup "$warmup" \
    --threads "$threads" --reference-steps "${REFERENCE_STEPS:-0}"
  sgemm
done
"$python" tests/proofs/compare_wikitext.py compare "$folder"
