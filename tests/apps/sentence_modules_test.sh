#!/usr/bin/env bash
# bert_embed on directories of sentence-transformers, against what that computes
# (tests/models/reference/make_sentence_reference.py), and several layers against transformers.
#   tests/apps/sentence_modules_test.sh build/release
reference=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/../models/reference/sentence
source "$(dirname "${BASH_SOURCE[0]}")/program_checks.sh"
export OMP_NUM_THREADS=1

lay_out() {  # the files of a case around those of the BERT
  rm -rf model && mkdir model && cp -r "$reference/$1/." model
  local inner=model
  [[ -d model/0_Transformer ]] && inner=model/0_Transformer
  for file in "$reference"/bert/*; do [[ -e $inner/${file##*/} ]] || cp "$file" "$inner"; done
}
# Every number of the result within 1e-5 of the expected one.
compare() {
  grep -o '"embedding":\[.*' out | grep -o -E '[-0-9.e+]+[],]' | tr -d '],' >numbers
  [[ $(wc -l <numbers) -eq $(wc -l <"$1") ]] || { wrong "$1: $(wc -l <numbers) numbers"; return; }
  paste numbers "$1" | awk '{ d = $1 - $2; if (d < 0) d = -d; if (!(d <= 1e-5)) { print NR, $1, $2; exit 1 } }' >difference ||
    wrong "$1: number $(cat difference)"
}

count=0
for folder in "$reference"/*/; do
  name=$(basename "$folder")
  [[ -e $folder/expected ]] || continue
  lay_out "$name"
  expect 0 bert_embed --model model --input "$reference/texts.txt" --json
  grep --quiet "^As sentence-transformers' modules.json says: " err || wrong "$name: it should be said what is done"
  ! grep --quiet "^Note: .*model/" err || wrong "$name: an unneeded note: $(cat err)"
  compare "$folder/expected"
  count=$((count + 1))
done
[[ $count -ge 20 ]] || wrong "only $count folders were compared"

lay_out bert
for file in "$reference"/layers/*; do
  name=$(basename "$file")
  expect 0 bert_embed --model model --input "$reference/texts.txt" --pool mean --json --layer "${name%_*}" --combine "${name##*_}"
  compare "$file"
done

# --pool counts instead of the modules
lay_out max_tokens
expect 0 bert_embed --model model --input "$reference/texts.txt" --json
cp out by_modules
expect 0 bert_embed --model model --input "$reference/texts.txt" --json --pool max
cmp --silent out by_modules && ! grep --quiet "modules.json" err || wrong "--pool max is what these modules say"
expect 0 bert_embed --model model --input "$reference/texts.txt" --json --pool cls
compare "$reference/cls_token/expected"
expect 0 bert_embed --model model --input "$reference/texts.txt" --pool tokens
[[ $(grep -c '^\[CLS\]' out) -eq $(wc -l <"$reference/texts.txt") ]] || wrong "--pool tokens gives tokens"
lay_out dense
expect 0 bert_embed --model model --input "$reference/texts.txt" --output rows.npy
head -c 200 rows.npy | tr -d '\0' | grep -a --quiet "'shape': (8, 5)" || wrong "a Dense of 5 gives 5 columns"

# what isn't followed is refused or named
change() { lay_out dense && sed -i "s|$2|$3|" "model/$1" && grep --quiet -F -- "$4" "model/$1" || wrong "no $2 in $1"; }
change modules.json models.Dense models.CNN CNN
refused 1 "[sentence_modules] modules.json CNN" bert_embed --model model --text a
change modules.json sentence_transformers.models.Dense my.Dense my.Dense
refused 1 "[sentence_modules] my.Dense" bert_embed --model model --text a
change modules.json 2_Dense ../2_Dense ../2_Dense
refused 1 "[sentence_modules] path ../2_Dense" bert_embed --model model --text a
change 2_Dense/config.json activation.Tanh activation.Hardtanh Hardtanh
refused 1 "[sentence_modules] activation_function Hardtanh" bert_embed --model model --text a
change 2_Dense/config.json '"bias": true' '"bias": true, "use_residual": true' residual
refused 1 "[sentence_modules] use_residual" bert_embed --model model --text a
change 1_Pooling/config.json '"word_embedding' '"pooling_mode": "median", "word_embedding' median
refused 1 "[sentence_modules] pooling_mode median" bert_embed --model model --text a
change 1_Pooling/config.json '"word_embedding' '"truncate": 3, "word_embedding' truncate
expect 0 bert_embed --model model --text a
grep --quiet "^Note: 'model/1_Pooling/config.json' has keys that bertie doesn't know.*: truncate$" err || wrong "an unknown key has a note"
for contents in '{}' '[1]' '[{"type": 1}]' '[' '[],"a":[]' '[]'; do
  lay_out dense && echo "$contents" >model/modules.json
  refused 1 "[sentence_modules]" bert_embed --model model --text a
done
lay_out bert
refused 1 "[layer] 3" bert_embed --model model --text a --layer 4
refused 1 "[layer] -5" bert_embed --model model --text a --layer=-5
refused 1 "[layer] behind" bert_embed --model model --text a --layer 2..1
refused 1 "[layer] x" bert_embed --model model --text a --layer x
refused 2 "--combine" bert_embed --model model --text a --combine max

report
