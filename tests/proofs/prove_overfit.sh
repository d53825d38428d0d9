#!/usr/bin/env bash
# Does BERT-base itself learn? It overfits one batch of 8 × 128 real tokens: 60 steps of Adam at 1e-4 without dropout,
# beside PyTorch from the same start on the same batch. Fails unless the first 5 losses agree to 1e-4 and the last is
# at most max(0.5, PyTorch's + 0.05). About 15 minutes on 2 cores.
#   tests/proofs/prove_overfit.sh [VOCAB CORPUS]    (default: files in $BERTIE_TEST_DATA)
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ $# -eq 2 ]; then
  vocab=$1 corpus=$2
else
  : "${BERTIE_TEST_DATA:?give VOCAB and CORPUS, or set BERTIE_TEST_DATA}"
  vocab=$BERTIE_TEST_DATA/vocab/bert-base-uncased-vocab.txt
  corpus=$BERTIE_TEST_DATA/corpora/movie-reviews/rt-polarity.pos
fi
folder=build/prove_overfit
mkdir -p "$folder"
cmake -S . -B build/release -G Ninja --log-level=WARNING -DBERTIE_TESTS=ON
cmake --build build/release --target overfit_batch
build/release/tests/overfit_batch "$vocab" "$corpus" "$folder"
python=$(scripts/python_env.sh)
"$python" tests/proofs/compare_overfit.py --model "$folder/start" --batch "$folder/batch.safetensors" \
  --losses "$folder/losses.json" --output "$folder/pytorch_losses.json"
