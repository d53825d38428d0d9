#!/usr/bin/env bash
# How long do others take to learn what bert_pretrain learns with Muon? A mini BERT on the movie reviews, without dropout,
# from one start on the same batches of 2,048 tokens: bert_pretrain, PyTorch with torch.optim.Muon, and, for more steps,
# transformers' Trainer with AdamW. Fails unless PyTorch takes 2.5 times and the Trainer 5 times as long, and neither comes
# to a lower held-out loss (compare_learning.py).
#   tests/proofs/prove_learning.sh [FOLDER]
# STEPS (490) and RATE (2e-3) with Muon, ADAMW_STEPS (750), ADAMW_RATE (1e-3; 2e-3 stays where word frequencies are) and
# THREADS (2) are variables; FOLDER is build/prove_learning. Half an hour on 2 cores.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${BERTIE_TEST_DATA:?set BERTIE_TEST_DATA to the folder that holds corpora/movie-reviews}"
reviews=$BERTIE_TEST_DATA/corpora/movie-reviews
run=${1:-build/prove_learning}
steps=${STEPS:-490} rate=${RATE:-2e-3} adamw_steps=${ADAMW_STEPS:-750} adamw_rate=${ADAMW_RATE:-1e-3}
threads=${THREADS:-2}
export OMP_NUM_THREADS=$threads
build=build/release
cmake -S . -B "$build" -G Ninja --log-level=WARNING -DBERTIE_TESTS=ON -DBERTIE_BENCH=ON
cmake --build "$build" --target bert_pretrain write_mlm_run machine_rates
python=$(scripts/python_env.sh)
rm -rf "$run"
mkdir -p "$run"
options=(--corpus "$reviews/rt-polarity.pos" "$reviews/rt-polarity.neg" --vocab-size 4096 --cache "$run/cache" --preset mini
         --dropout 0 --batch-tokens 2048 --threads "$threads")
sgemm() { "$build/bench/machine_rates" --json --threads "$threads" >>"$run/sgemm.jsonl"; }
"$build/tests/write_mlm_run" "${options[@]}" --steps "$adamw_steps" --output "$run"
train() { "$python" tests/proofs/compare_learning.py train --run "$run" --threads "$threads" "$@"; }
sgemm
"$build/bert_pretrain" "${options[@]}" --optimizer muon --learning-rate "$rate" --steps "$steps" --output "$run/bertie"
sgemm
train --with muon --steps "$steps" --learning-rate "$rate"
sgemm
train --with trainer --steps "$adamw_steps" --learning-rate "$adamw_rate"
sgemm
"$python" tests/proofs/compare_learning.py compare "$run"
