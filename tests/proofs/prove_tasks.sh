#!/usr/bin/env bash
# Does bert_finetune learn what PyTorch and transformers learn, and how long do both take? Three seeds each of
#   minilm     sentiment (20,000 rows of SST-2, one pass), beginning with all-MiniLM-L6-v2: means within 0.5 points
#   mini       the same, beginning with a mini BERT that bertie pre-trains on the texts at hand
#   untrained  and with the same mini before its pre-training: means within 1 point
#   wikiann    tags of names (8,000 sentences), from MiniLM: 1 point
#   xquad      answers (three quarters of XQuAD English), from MiniLM: 1 point
#   nulls      answers in generated stories, of which half have none, from MiniLM: 1 point
#   tests/proofs/prove_tasks.sh FOLDER [NAME …]     all of them, or those named; two hours on 2 cores
# FOLDER has the MiniLM as FOLDER/minilm-model (all-MiniLM-L6-v2's directory) and gets a folder for each. Runs that are
# there already are not made again. SEEDS (1 2 3) and THREADS (2) are variables. PIECES=4 spares PyTorch most of its
# padding, and half of its time, which then isn't compared.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${BERTIE_TEST_DATA:?set BERTIE_TEST_DATA to the folder that holds glue, ner, squad and corpora}"
folder=${1:?a folder for models and results}
shift
names=("$@")
[[ ${#names[@]} -gt 0 ]] || names=(minilm mini untrained wikiann xquad nulls)
threads=${THREADS:-2}
export OMP_NUM_THREADS=$threads
build=${BUILD:-build/release}
if [[ -z ${BUILD:-} ]]; then
  cmake -S . -B "$build" -G Ninja --log-level=WARNING
  cmake --build "$build" --target bert_pretrain bert_finetune bert_predict
fi
python=$(scripts/python_env.sh)
compare=("$python" tests/proofs/compare_tasks.py)
sst=$BERTIE_TEST_DATA/glue/SST-2

[[ -e $folder/sst2_20000.tsv ]] || head -n 20001 "$sst/train.tsv" >"$folder/sst2_20000.tsv"
[[ -e $folder/xquad_dev.json ]] || "${compare[@]}" split "$BERTIE_TEST_DATA/squad/xquad.en.json" "$folder"
[[ -e $folder/nulls_dev.json ]] || "${compare[@]}" nulls "$folder"
# WikiANN repeats nothing: its first 8,000 sentences are as good as any.
[[ -e $folder/wikiann_train ]] ||
  awk -v n=8000 'NF == 0 && ++seen == n { exit } { print }' "$BERTIE_TEST_DATA/ner/train" >"$folder/wikiann_train"

# Without the reviews that SST-2's dev and test sentences are from.
pretrain() {
  [[ -e $folder/mini-model/model.safetensors ]] && return
  "${compare[@]}" texts "$BERTIE_TEST_DATA" "$folder/texts.txt"
  local options=(--corpus "$folder/texts.txt" --cache "$folder/cache" --preset mini --optimizer adamw --max-length 128 --threads "$threads")
  "$build/bert_pretrain" "${options[@]}" --steps "${PRETRAIN_STEPS:-5000}" --output "$folder/mini-model"
  "$build/bert_pretrain" "${options[@]}" --steps 1 --learning-rate 1e-12 --output "$folder/untrained-model"
}

for name in "${names[@]}"; do
  task=classify model=minilm-model train=$sst/train.tsv dev=$sst/dev.tsv epochs=1 rate=1e-4 length=128 score=accuracy
  apart=0.01
  case $name in
    minilm) train=$folder/sst2_20000.tsv apart=0.005 ;;
    mini | untrained) pretrain; model=$name-model train=$folder/sst2_20000.tsv rate=3e-4 ;;
    wikiann) task=tag train=$folder/wikiann_train dev=$BERTIE_TEST_DATA/ner/dev score=f1 ;;
    xquad) task=answer train=$folder/xquad_train.json dev=$folder/xquad_dev.json length=384 score=f1 apart=1 ;;
    nulls) task=answer train=$folder/nulls_train.json dev=$folder/nulls_dev.json epochs=4 rate=3e-4 score=f1 apart=1 ;;
    *) echo "prove_tasks: unknown '$name' (the head of the script tells more)" >&2; exit 2 ;;
  esac
  runs=$folder/$name
  mkdir -p "$runs"
  options=(--task "$task" --model "$folder/$model" --train "$train" --dev "$dev" --epochs "$epochs" --learning-rate
           "$rate" --max-length "$length" --threads "$threads")
  for seed in ${SEEDS:-1 2 3}; do
    "$build/bert_finetune" "${options[@]}" --seed "$seed" --output "$runs/bertie-$seed" --resume
    [[ -e $runs/pytorch-$seed/result.json ]] ||
      "${compare[@]}" train "${options[@]}" --seed "$seed" --output "$runs/pytorch-$seed" --programs "$build" --pieces "${PIECES:-1}"
  done
  echo "$name"
  "${compare[@]}" compare --score "$score" --apart "$apart" "$runs"
done
