#!/usr/bin/env bash
# Do fine-tuned models go both ways? For each task a tiny model is trained by bert_finetune, loaded by transformers and
# compared with bert_predict on 200 texts; and one that transformers trained is predicted by bert_predict: labels, tags
# and answers must be the same, probabilities and numbers within 1e-5. A few minutes.
#   tests/proofs/prove_finetuned.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
cmake -S . -B build/release -G Ninja --log-level=WARNING
cmake --build build/release --target bert_finetune bert_predict
python=$(scripts/python_env.sh)
"$python" tests/proofs/prove_finetuned.py --programs build/release
