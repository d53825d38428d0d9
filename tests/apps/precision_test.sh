#!/usr/bin/env bash
# --precision of all programs: refused where the CPU lacks the instructions, chosen by auto, int8 on any CPU and only where
# nothing is trained, the same bits on any number of threads and in a run that was killed, changed on resuming, and results
# that are near those of f32.
#   tests/apps/precision_test.sh build/release
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd) || exit 2
source "$root/tests/apps/program_checks.sh"

small_documents >corpus.txt
small_model >small.json
run=(bert_pretrain --corpus corpus.txt --config small.json --vocab-size 100 --batch-tokens 200 --parts 2 --dropout 0.1
  --objective mlm+nsp --optimizer adamw --steps 40 --checkpoint-steps 10 --evaluate-steps 20 --cache cache)
expect 0 "${run[@]}" --output f32
grep --quiet "^Precision" err && wrong "of f32 nothing should be said"

# --- a CPU without the instructions
BERTIE_ISA=avx2 refused 1 "[precision] AVX512_BF16 AMX" "${run[@]}" --precision bf16 --output refused
BERTIE_ISA=avx2 refused 1 "[precision] AVX512_BF16 AMX" bert_fill_mask --model f32 --precision bf16 --text "the [MASK]"
BERTIE_ISA=avx2 expect 0 "${run[@]}" --precision auto --output auto
grep --quiet "^Precision: f32, as this CPU has no instructions" err || wrong "what auto chose, and why, should be said"
BERTIE_ISA=avx2 expect 0 "${run[@]}" --output avx2
cmp --silent auto/model.safetensors avx2/model.safetensors || wrong "auto should be f32 where there is nothing else"
refused 2 "--precision" "${run[@]}" --precision f16 --output refused

# --- int8, for which any CPU will do
near() { awk '{ getline other < "f32.txt"; n = split($0, a, /[ ,:\[\]{}"]+/); split(other, b, /[ ,:\[\]{}"]+/)
  for (i = 1; i <= n; ++i) if (a[i] ~ /^-?[0-9.]+(e-?[0-9]+)?$/) { ++numbers; if ((a[i] - b[i]) ^ 2 > 0.03 ^ 2) exit 1 } }
  END { if (numbers < 10) exit 1 }' out; }
embed=(bert_embed --model f32 --text "the cat sat on the mat" --pool mean --json)
fill=(bert_fill_mask --model f32 --text "the cat [MASK] on the mat" --targets sat,ran,flew,the,cat --json)
printf 'text\tlabel\n' >train.tsv
for i in {1..20}; do printf 'the cat sat on %s\tgood\nthe dog ran under %s\tbad\n' "tree $i" "house $i"; done >>train.tsv
tune=(bert_finetune --task classify --model f32 --train train.tsv --dev train.tsv --epochs 2 --learning-rate 1e-3)
expect 0 "${tune[@]}" --output tuned32
cut -f 1 train.tsv | tail -n +2 >texts.txt
predict=(bert_predict --model tuned32 --input texts.txt --json)
labels() { sed -E 's/-?[0-9.]+(e-?[0-9]+)?//g' "$1"; }
for program in embed fill predict; do
  declare -n command=$program
  expect 0 "${command[@]}"
  grep --quiet "^Precision" err && wrong "of f32 nothing should be said"
  cp out f32.txt
  expect 0 "${command[@]}" --precision int8 --threads 2
  [[ $(grep -c "^Precision: int8, w" err) -eq 1 ]] || wrong "$program should tell int8, and what serves or that nothing does"
  near || wrong "$program in int8 should be near that in f32"
  cmp --silent out f32.txt && wrong "$program should compute in int8"
  [[ $program != predict ]] || cmp --silent <(labels out) <(labels f32.txt) || wrong "labels should be the same in int8"
  cp out int8.txt
  expect 0 "${command[@]}" --precision int8 --threads 1
  cmp --silent out int8.txt || wrong "$program in int8 should give the same on any number of threads"
  for lowered in baseline avx2; do
    BERTIE_ISA=$lowered expect 0 "${command[@]}" --precision int8
    grep --quiet "^Precision: int8, which saves memory but no time: this CPU has no instructions for it" err ||
      wrong "without instructions $program should tell that int8 saves no time"
    near || wrong "$program in int8 by $lowered should be near that in f32"
  done
  expect 0 "${command[@]}" --precision int8 --keep-f32 0
  cmp --silent out f32.txt || wrong "$program should be that of f32 where all layers are kept"
  expect 0 "${command[@]}" --precision int8 --keep-f32 0.attention,0.intermediate
  near || wrong "$program in int8 without some parts should be near that in f32"
  cmp --silent out f32.txt && wrong "$program should compute what isn't kept in int8"
  cmp --silent out int8.txt && wrong "$program should keep what is named"
  refused 2 "--keep-f32 --precision int8" "${command[@]}" --keep-f32 0
  refused 2 "--keep-f32 --precision int8" "${command[@]}" --precision auto --keep-f32 0.output
  for unknown in 1 x 0.foo -1 0.output,12; do
    refused 1 "[pack] '${unknown#*,}' 0.output" "${command[@]}" --precision int8 "--keep-f32=$unknown"
  done
done
# --- what int8 changes, and which layers would be better left
expect 0 bert_predict --model tuned32 --precision int8 --compare texts.txt
grep --quiet "^40 sequences" out || wrong "--compare should tell how many texts there are"
grep --quiet -E "^nothing +0\.[0-9]+ +[0-9]+ of 40$" out || wrong "--compare should tell what int8 changes"
grep --quiet -E "^(To leave|No layer)" out || wrong "--compare should end with what to do"
expect 0 bert_predict --model tuned32 --precision int8 --compare texts.txt --json
kept=$(sed -n -E 's/.*"layer":"([0-9a-z.]+)".*/\1/p' out)
[[ -z $kept ]] || expect 0 bert_predict --model tuned32 --precision int8 --keep-f32 "$kept" --text "the cat"
refused 2 "--compare --precision int8" bert_predict --model tuned32 --compare texts.txt
refused 2 "--keep-f32 --compare" bert_predict --model tuned32 --precision int8 --compare texts.txt --keep-f32 0
refused 2 "--compare" bert_predict --model tuned32 --precision int8 --compare texts.txt --input texts.txt
: >empty.txt
refused 1 "" bert_predict --model tuned32 --precision int8 --compare empty.txt
refused 2 "--precision int8" "${run[@]}" --precision int8 --output refused
refused 2 "--precision int8" "${tune[@]}" --precision int8 --output refused
refused 2 "--precision" bert_embed --model f32 --text a --precision int4

# --- this CPU
"${run[@]/#40/1}" --precision bf16 --output probe >out 2>err </dev/null || {
  grep --quiet "AVX512_BF16" err || wrong "bf16 should be refused for lack of instructions alone"
  report
  exit
}
expect 0 "${run[@]}" --precision bf16 --threads 2 --output whole
grep --quiet "^Precision: bf16$" err || wrong "bf16 should be told"
grep --quiet '"kind":"training".*"precision":"bf16"' whole/metrics.jsonl || wrong "the metrics should have the precision"
grep --quiet "bf16 by onednn" whole/report.html || wrong "the report should tell what products take"
cmp --silent f32/model.safetensors whole/model.safetensors && wrong "bf16 should differ from f32"
expect 0 "${run[@]}" --precision bf16 --threads 1 --output one
same_as whole one
kill_at_checkpoint killed "${run[@]}" --precision bf16 --output killed
expect 0 "${run[@]}" --precision bf16 --output killed --resume
grep --quiet "^Note: till there" err && wrong "a run that goes on as it was should say nothing"
cmp --silent whole/model.safetensors killed/model.safetensors || wrong "a resumed run should be the undisturbed one"
loss() { sed -n -E 's/.*"held_out":\{"loss":([0-9.]+).*/\1/p' "$1/metrics.jsonl" | tail -n 1; }
awk -v a="$(loss f32)" -v b="$(loss whole)" 'BEGIN { exit !(a > 0 && (a - b) ^ 2 < 0.05 ^ 2) }' ||
  wrong "held-out losses should be near: $(loss f32), in bf16 $(loss whole)"

# --- another precision on resuming, which is said
long=("${run[@]/#40/400}")
kill_at_checkpoint changed "${long[@]}" --precision bf16 --output changed
expect 0 "${long[@]}" --output changed --resume
grep --quiet "^Note: till there the run was in bf16, and goes on in f32$" err || wrong "the change should be told"
[[ -z $(tail -n 1 changed/metrics.jsonl | grep bf16) ]] || wrong "the metrics should tell the new precision"

# --- results near those of f32
expect 0 "${embed[@]}"
cp out f32.txt
expect 0 "${embed[@]}" --precision bf16
near || wrong "embeddings in bf16 should be near those in f32"
cmp --silent out f32.txt && wrong "embeddings should be computed in bf16"
expect 0 "${fill[@]}"
cp out f32.txt
expect 0 "${fill[@]}" --precision auto
expect 0 "${tune[@]}" --precision bf16 --output tuned
grep --quiet "^Precision: bf16$" err || wrong "fine-tuning should tell its precision"
expect 0 bert_predict --model tuned --text "the cat sat on tree 3" --json
cp out f32.txt
expect 0 bert_predict --model tuned --text "the cat sat on tree 3" --json --precision bf16
cmp --silent <(sed 's/[0-9.]*//g' out) <(sed 's/[0-9.]*//g' f32.txt) || wrong "the label should be the same in bf16"
report
