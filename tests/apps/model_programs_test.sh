#!/usr/bin/env bash
# The programs that take a pretrained model, bert_embed, bert_fill_mask and mlm_step, from the outside.
#   tests/apps/model_programs_test.sh build/release
source "$(dirname "${BASH_SOURCE[0]}")/program_checks.sh"
export OMP_NUM_THREADS=1

for ((i = 0; i < 12; ++i)); do
  printf '%s\n' "the cat sat on the mat ." "a dog ran to the old house ." "the bird sang in the green tree ."
done >corpus.txt
expect 0 bert_pretrain --corpus corpus.txt --preset tiny --batch-tokens 64 --vocab-size 100 --steps 2 --output model
printf 'the cat sat\n\na dog ran to the old house\nthe \xff bird\n' >lines.txt
tokens_of() { sed -E 's/^\{"tokens":(.*),"embeddings?":.*/\1/' "$1"; }
numbers_of() { grep -o -E '[-0-9.e]+[],]' "$1" | wc -l; }  # in a line without digits in its tokens

# --- bert_embed
expect 0 bert_embed --model model --text "the cat sat"
[[ $(cut -d' ' -f1 out | tr '\n' ' ') == "[CLS] the cat sat [SEP] " ]] || wrong "a line for each token, got $(cat out)"
[[ $(grep -c -E '^\S+ +(-?[0-9]\.[0-9]{5} +){8}…$' out) -eq 5 ]] || wrong "eight components for each token"
expect 0 bert_embed --model model --text "the cat sat" --no-special-tokens --json
[[ $(tokens_of out) == '["the","cat","sat"]' && $(numbers_of out) -eq $((3 * 128)) ]] || wrong "three embeddings, not $(cut -c1-100 out)"
expect 0 bert_embed --model model --input lines.txt --json
[[ $(tokens_of out | tr '\n' ' ') == '["[CLS]","the","cat",'*'] ["[CLS]","[SEP]"] ["[CLS]","a","dog","'*'] ["[CLS]","the","bird"'* &&
   $(wc -l <out) -eq 4 ]] || wrong "lines in their order: $(tokens_of out)"
[[ $(grep -c "line 4 has invalid UTF-8" err) -eq 1 ]] || wrong "invalid UTF-8 should be told with its line"
# What a line gets doesn't depend on the threads, and on the lines beside it only by rounding.
sed -n 3p out >third
expect 0 bert_embed --model model --text "a dog ran to the old house" --json
cp out alone
expect 0 bert_embed --model model --text "a dog ran to the old house" --json --threads 2
cmp --silent out alone || wrong "the embedding depends on the number of threads"
numbers() { grep -o -E '[-0-9.e]+[],]' "$1" | tr -d '],'; }
paste <(numbers third) <(numbers alone) | awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > 1e-5) exit 1 }' ||
  wrong "a line gets another embedding alone than among others"
expect 1 bert_embed --model model --text x --pool pooler
grep --quiet "missing: pooler.dense.weight" err && grep --quiet -e --allow-new-head err || wrong "a missing pooler should be told"
for pool in cls mean pooler; do
  expect 0 bert_embed --model model --input lines.txt --pool $pool --json --allow-new-head
  [[ $(grep -c '"embedding":\[' out) -eq 4 && $(numbers_of out) -eq $((4 * 128)) ]] || wrong "--pool $pool gives one embedding a line"
done
expect 0 bert_embed --model model --text "the cat" --pool mean --normalize --json
norm=$(sed -E 's/.*"embedding":\[(.*)\]\}/\1/' out | awk -F, '{ for (i = 1; i <= NF; ++i) s += $i * $i; printf "%.5f", s }')
[[ $norm == 1.00000 ]] || wrong "--normalize gives length 1, not $norm"
expect 0 bert_embed --model model --text "the cat" --layer 0
cp out layer0
expect 0 bert_embed --model model --text "the cat" --layer 2
cp out layer2
expect 0 bert_embed --model model --text "the cat"
cmp --silent out layer2 || wrong "the last layer is the default"
! cmp --silent out layer0 || wrong "layer 0 is another than the last"
expect 0 bert_embed --model model --text "the cat sat" --max-length 4
[[ $(cut -d' ' -f1 out | tr '\n' ' ') == "[CLS] the cat [SEP] " ]] && grep --quiet "cut to 4 tokens" err || wrong "--max-length 4"
expect 0 bert_embed --model model --text $'the cat\tsat' --pairs
[[ $(cut -d' ' -f1 out | tr '\n' ' ') == "[CLS] the cat [SEP] sat [SEP] " ]] || wrong "--pairs"
expect 0 bert_embed --model model --input lines.txt --pool mean --output rows.npy
[[ ! -s out && $(head -c 200 rows.npy | tr -d '\0' | grep -a -c "'shape': (4, 128)") -eq 1 ]] || wrong "rows.npy"
[[ $(stat -c %s rows.npy) -eq $((1024 + 4 * 128 * 4)) ]] || wrong "the size of rows.npy"
expect 0 bert_embed --model model --input lines.txt --output rows.safetensors
grep -a --quiet '"offsets":{"dtype":"I32","shape":\[5\]' rows.safetensors || wrong "rows.safetensors has no offsets"
expect 0 bert_embed --model model --input lines.txt --pool cls --json
cp out of_file
timeout 60 bert_embed --model model --input - --pool cls --json <lines.txt >out 2>err || wrong "bert_embed --input -"
cmp --silent out of_file || wrong "standard input should be read as a file is"
refused 1 "safetensors" bert_embed --model model --input lines.txt --output refused.npy
refused 1 ".npy" bert_embed --model model --text x --output refused.txt
refused 1 "line 2 no tokens" bert_embed --model model --input lines.txt --pool mean --no-special-tokens --output refused.npy
[[ ! -e refused.npy ]] || wrong "a refused run left a file"
printf 'a cat\nthe\tdog\na\tb\tc\n' >tabs.txt
expect 1 bert_embed --model model --input tabs.txt --pairs --json
[[ $(wc -l <out) -eq 2 ]] && grep --quiet "2 tabs.*line 3 of 'tabs.txt'" err || wrong "lines before a bad one are answered"
expect 0 bert_embed --model model --input lines.txt --pool mean --no-special-tokens --json
[[ $(sed -n 2p out) == '{"tokens":[],"embedding":null}' ]] || wrong "nothing to pool gives null: $(sed -n 2p out)"
refused 1 "layers 2" bert_embed --model model --text x --layer 3
refused 1 "pooler" bert_embed --model model --text x --pool pooler --layer 1 --allow-new-head
refused 1 "512 513" bert_embed --model model --text x --max-length 513
refused 1 "missing" bert_embed --model missing --text x
refused 1 "missing.txt" bert_embed --model model --input missing.txt
{ head -n 1 lines.txt; head --bytes 20000000 /dev/zero | tr '\0' a; } >endless.txt
for program in bert_embed bert_fill_mask; do
  expect 1 $program --model model --input endless.txt
  grep --quiet "^$program: .*line 2 of 'endless.txt' must have at most 16777216 bytes" err || wrong "$program: an endless line"
done
refused 2 "--text --input" bert_embed --model model
refused 2 "--pool" bert_embed --model model --text x --pool sum
refused 2 "--json" bert_embed --model model --text x --json --output x.npy

# --- bert_fill_mask over lines, and with targets
printf 'the [MASK] sat\nno mask\na [MASK] ran to the [MASK]\n' >masked.txt
expect 0 bert_fill_mask --model model --input masked.txt --top-k 2
[[ $(grep -x -E 'line [0-9]+, \[MASK\] [0-9]+:' out | tr '\n' ' ') == \
   "line 1, [MASK] 1: line 3, [MASK] 1: line 3, [MASK] 2: " && $(wc -l <out) -eq 9 ]] || wrong "masks of a file: $(cat out)"
grep --quiet "line 2 has no \[MASK\]" err || wrong "a line without [MASK] should be told"
expect 0 bert_fill_mask --model model --input masked.txt --targets cat,dog --json
[[ $(grep -c '^{"line":[13],"position":[0-9]*,"candidates":\[{"token":"\(cat\|dog\)","id":[0-9]*,"probability":[-0-9.e]*,"logit":' out) -eq 3 ]] ||
  wrong "--targets --json: $(cat out)"
refused 1 "zebra" bert_fill_mask --model model --text "the [MASK]" --targets cat,zebra

expect 0 bert_fill_mask --model model --text "the [MASK]" --targets "[MASK],cat"
[[ $(cut -d' ' -f1 out | sort | tr '\n' ' ') == "[MASK] cat " ]] || wrong "--targets in brackets: $(cat out)"
refused 1 "''" bert_fill_mask --model model --text "the [MASK]" --targets cat,,dog
for option in model input targets; do refused 2 "--$option: needs a name" bert_fill_mask --model model --text x --$option ""; done
for option in model input output; do refused 2 "--$option: needs a name" bert_embed --model model --text x --$option ""; done

# --- mlm_step
expect 0 mlm_step --model model --text "the [MASK] sat" --target cat --steps 3 --output tuned
probability() { sed -n -E "s/^$1: loss [0-9.]+, probability of 'cat' ([0-9.]+)$/\1/p" out; }
awk -v before="$(probability before)" -v after="$(probability after)" 'BEGIN { exit !(before > 0 && after > before) }' ||
  wrong "three steps should make the word more probable: $(cat out)"
after=$(probability after)
expect 0 mlm_step --model tuned --text "the [MASK] sat" --target cat
[[ $(probability before) == "$after" ]] || wrong "the trained model should come back as it was: $(cat out), not $after"
expect 0 mlm_step --model model --text "[MASK] $(printf 'cat \xff %.0s' {1..600})" --target cat
grep --quiet "cut to 512 tokens" err && grep --quiet UTF-8 err || wrong "a text that is cut or invalid should be told"
refused 1 "[MASK] got 0" mlm_step --model model --text "the cat sat" --target cat
refused 1 "[MASK] got 2" mlm_step --model model --text "[MASK] [MASK]" --target cat
refused 1 "zebra" mlm_step --model model --text "the [MASK] sat" --target zebra
refused 1 "[output] folder corpus.txt" mlm_step --model model --text "the [MASK] sat" --target cat --output corpus.txt
cp -r model replaced
refused 1 "replaced already config.json --overwrite" mlm_step --model model --text "the [MASK] sat" --target cat --output replaced
diff -r model replaced || wrong "a model was changed without --overwrite"
expect 0 mlm_step --model replaced --text "the [MASK] sat" --target cat --output replaced --overwrite
! cmp --silent model/model.safetensors replaced/model.safetensors || wrong "--overwrite should replace the model"
[[ ! -e replaced/metrics.jsonl && ! -e replaced/report.html ]] || wrong "the metrics of the replaced model are still there"
refused 2 "steps" mlm_step --model model --steps 0
refused 2 "--overwrite --output" mlm_step --model model --overwrite
for rate in nan inf -1 much; do refused 2 "--learning-rate: $rate is not a number in 0" mlm_step --model model --learning-rate $rate; done
refused 2 "--model: needs a name" mlm_step --model ""
refused 2 "--output: needs a name" mlm_step --model model --output ""

# --- a model whose weights are all NaN
cp -r model broken
{ head -c 20000 model/model.safetensors; tail -c +20001 model/model.safetensors | tr '\0-\377' '\377'; } >broken/model.safetensors
for command in "bert_embed --text x" "bert_fill_mask --text [MASK]" "mlm_step --text [MASK] --target cat --output refused"; do
  # shellcheck disable=SC2086
  refused 1 "[model] finite weights" $command --model broken
done

# --- standard output that can't be written
for command in "bert_embed --text x" "bert_embed --input lines.txt --json" "mlm_step --text [MASK] --target cat"; do
  # shellcheck disable=SC2086
  timeout 60 $command --model model >/dev/full 2>err </dev/null
  [[ $? -eq 1 ]] && tail -n 1 err | grep --quiet "^${command%% *}: .*output" || wrong "'$command >/dev/full'"
done

report
