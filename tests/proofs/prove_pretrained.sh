#!/usr/bin/env bash
# Do model directories go both ways? A BERT-base with random weights, and a small BERT with each head, are written by
# transformers, computed by bertie (logits within 2e-5), written by bertie and loaded by transformers: the same
# weights, configuration, tokens and outputs. And how long does a BERT-base take to start, and are its weights there
# once? About a minute, and 2 GB of disk for its time.
#   tests/proofs/prove_pretrained.sh [VOCAB]    (default: that of bert-base-uncased in $BERTIE_TEST_DATA)
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ $# -eq 1 ]; then
  vocab=$1
else
  : "${BERTIE_TEST_DATA:?give VOCAB, or set BERTIE_TEST_DATA}"
  vocab=$BERTIE_TEST_DATA/vocab/bert-base-uncased-vocab.txt
fi
cmake -S . -B build/release -G Ninja --log-level=WARNING -DBERTIE_TESTS=ON
cmake --build build/release --target bert_outputs bert_embed
python=$(scripts/python_env.sh)
"$python" tests/proofs/prove_pretrained.py --program build/release/tests/bert_outputs --embed build/release/bert_embed \
  --vocab "$vocab"
