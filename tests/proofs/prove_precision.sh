#!/usr/bin/env bash
# Does a model learn in bf16 what it learns in f32? Three seeds each, and the means that must be near:
#   reviews   a mini BERT's held-out loss on the movie reviews in $BERTIE_TEST_DATA: within 0.02 nats
#   sst2      accuracy on SST-2's dev set of FOLDER/minilm-model (all-MiniLM-L6-v2's directory), fine-tuned on 20,000 rows:
#             within 0.3 points
#   int8      what those of sst2 in f32 lose when they predict in int8: at most 0.3 points each
#   tests/proofs/prove_precision.sh FOLDER [NAME …]     all, or those named; an hour on 2 cores
# FOLDER gets the models; those that are there already are not made again. SEEDS (1 2 3), THREADS (2), STEPS (of reviews,
# 1500) and BUILD, a build that is ready, are variables. Where the CPU has no instructions for bf16, that is said.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${BERTIE_TEST_DATA:?set BERTIE_TEST_DATA to the folder that holds glue and corpora}"
folder=${1:?a folder for models and results}
shift
names=("$@")
[[ ${#names[@]} -gt 0 ]] || names=(reviews sst2 int8)
build=${BUILD:-build/release}
if [[ -z ${BUILD:-} ]]; then
  cmake -S . -B "$build" -G Ninja --log-level=WARNING
  cmake --build "$build" --target bert_pretrain bert_finetune bert_predict
fi
mkdir -p "$folder"
reviews=$BERTIE_TEST_DATA/corpora/movie-reviews
sst=$BERTIE_TEST_DATA/glue/SST-2
[[ -e $folder/sst2_20000.tsv ]] || head -n 20001 "$sst/train.tsv" >"$folder/sst2_20000.tsv"

# The last number of this name in a run's metrics.
last() { sed -n -E "s/.*\"$2\":([0-9.]+).*/\1/p" "$1/metrics.jsonl" | tail -n 1; }

# The accuracy that a model fine-tuned on SST-2 has on its dev set.
accuracy() { "$build/bert_predict" --model "$1" --report "$sst/dev.tsv" --precision "$2" | awk '$1 == "accuracy" { print $2 }'; }

failed=0
for name in "${names[@]}"; do
  case $name in
    reviews) apart=0.02 field='held_out":\{"loss'
      run=("$build/bert_pretrain" --corpus "$reviews/rt-polarity.pos" "$reviews/rt-polarity.neg" --preset mini
        --vocab-size 4096 --steps "${STEPS:-1500}" --cache "$folder/cache") ;;
    sst2) apart=0.003 field='accuracy'
      run=("$build/bert_finetune" --task classify --model "$folder/minilm-model" --train "$folder/sst2_20000.tsv"
        --dev "$sst/dev.tsv" --epochs 1 --learning-rate 1e-4 --max-length 128) ;;
    int8) ;;
    *) echo "prove_precision: unknown '$name' (the head of the script tells more)" >&2; exit 2 ;;
  esac
  if [[ $name == int8 ]]; then
    for seed in ${SEEDS:-1 2 3}; do
      f32=$(accuracy "$folder/sst2-f32-$seed" f32) int8=$(accuracy "$folder/sst2-f32-$seed" int8)
      echo "int8: seed $seed: f32 $f32, int8 $int8 (at most 0.003 less)"
      awk -v f32="$f32" -v int8="$int8" 'BEGIN { exit !(int8 >= f32 - 0.003) }' || failed=1
    done
    continue
  fi
  declare -A results=([f32]="" [bf16]="")
  for seed in ${SEEDS:-1 2 3}; do
    for precision in f32 bf16; do
      output=$folder/$name-$precision-$seed
      [[ -e $output/model.safetensors ]] ||
        "${run[@]}" --precision "$precision" --seed "$seed" --threads "${THREADS:-2}" --output "$output" >&2
      results[$precision]+=" $(last "$output" "$field")"
    done
  done
  awk -v f32="${results[f32]}" -v bf16="${results[bf16]}" -v apart="$apart" -v name="$name" '
    function mean(text,   all, n, i, sum) { n = split(text, all, " "); for (i = 1; i <= n; ++i) sum += all[i]; return sum / n }
    BEGIN {
      difference = mean(bf16) - mean(f32)
      printf "%s: f32%s, mean %.4f; bf16%s, mean %.4f: %+.4f (at most %s)\n", name, f32, mean(f32), bf16, mean(bf16),
        difference, apart
      exit !(difference <= apart && difference >= -apart)
    }' || failed=1
done
exit $failed
