#!/usr/bin/env bash
# bert_finetune and bert_predict from the outside: each task learns what is there to learn, a run that was killed or
# interrupted is continued as if nothing had been, several runs, and what is refused.
#   tests/apps/finetune_runs_test.sh build/release
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd) || exit 2
source "$root/tests/apps/program_checks.sh"

# --- a small model, of the words that the tasks have
nouns=(cat dog bird house tree river)
good=(good fine great lovely)
bad=(bad poor awful dull)
names=(anna bob clara dan)
for ((i = 0; i < 240; ++i)); do
  echo "the ${nouns[i % 6]} is ${good[i % 4]} and ${names[i % 3]} saw ${names[(i + 1) % 4]} near the ${nouns[(i + 2) % 6]} ."
  echo "who saw the ${bad[i % 4]} ${nouns[(i + 1) % 6]} ? ${names[i % 4]} did ."
done >corpus.txt
expect 0 bert_pretrain --corpus corpus.txt --preset tiny --vocab-size 150 --steps 60 --output base

# --- classify
for ((i = 0; i < 120; ++i)); do
  printf 'the %s is %s .\tpositive\nthe %s was %s , %s .\tnegative\n' "${nouns[i % 6]}" "${good[i * 7 % 4]}" \
    "${nouns[i % 5]}" "${bad[i % 4]}" "${names[i % 4]}"
done >all.tsv
head -n 160 all.tsv >train.tsv
tail -n 60 all.tsv >dev.tsv
classify=(bert_finetune --task classify --model base --train train.tsv --dev dev.tsv --learning-rate 1e-3 --dropout 0.1
  --epochs 4 --batch-size 16 --checkpoint-steps 3)
expect 0 "${classify[@]}" --output whole --threads 2
grep --quiet "^Saved: dev after step .* accuracy 1.0000" err || wrong "good and bad should be told apart"
[[ $(cat out) == whole ]] || wrong "the folder should be printed"
grep --quiet '"0": "negative"' whole/config.json && grep --quiet '"problem_type": "single_label_classification"' whole/config.json ||
  wrong "config.json should have labels and problem_type"
[[ ! -e whole/checkpoints || -z $(ls whole/checkpoints) ]] || wrong "a finished run should leave no checkpoints"
grep --quiet 'class="confusion"' whole/report.html && grep --quiet 'class="hardest"' whole/report.html ||
  wrong "the report should show what was confused, and the hardest examples"
expect 0 bert_predict --model whole --text "the bird is lovely ."
[[ $(cut -f 1 out) == positive ]] || wrong "the label should be printed, not '$(cat out)'"
cut -f 1 dev.tsv >texts.txt
expect 0 bert_predict --model whole --input texts.txt
cmp <(cut -f 1 out) <(cut -f 2 dev.tsv) || wrong "labels should come in the order of the input"
cut -f 1 dev.tsv | bert_predict --model whole --input - --json >json 2>err || wrong "standard input should be read"
[[ $(grep --count '"label":"\(positive\|negative\)","probabilities":{"negative":' json) -eq 60 ]] || wrong "an object a line"
expect 0 bert_predict --model whole --report dev.tsv
grep --quiet "^accuracy  *1.0000" out || wrong "the report should have the accuracy"
grep --quiet "^negative  *30  *0$" out || wrong "the report should have the confusion matrix"

# --- killed, then continued on other numbers of threads; then interrupted
for threads in 1 2; do
  kill_at_checkpoint killed "${classify[@]}" --threads $threads --output killed --resume
done
expect 0 "${classify[@]}" --output killed --resume
cmp --silent killed/model.safetensors whole/model.safetensors || wrong "the killed run should be the undisturbed one"
expect 0 "${classify[@]}" --output killed --resume
grep --quiet "^The run in killed is finished: there is nothing to resume" err || wrong "that a run is finished should be told"
[[ $(cat out) == killed ]] || wrong "the folder of a finished run should be printed"
expect 1 "${classify[@]/#4/5}" --output killed --resume
grep --quiet "killed has the model of a finished run with other settings" err && grep --quiet "^  steps: 40 there, 50 here" err ||
  wrong "the settings of a finished run should be compared"
refused 1 "killed already --overwrite" "${classify[@]}" --output killed
interrupt "Dev after step 10" "${classify[@]}" --output stopped </dev/null
bash -c "$(told_command)" >out 2>err </dev/null || wrong "the printed command should continue"
cmp --silent stopped/model.safetensors whole/model.safetensors || wrong "the stopped run should be the undisturbed one"

# --- another run that takes the place of a finished model is resumed, though that model is finished
interrupt "Dev after step 10" "${classify[@]}" --seed 2 --output killed --overwrite </dev/null
expect 0 "${classify[@]}" --seed 2 --output killed --resume
grep --quiet "^Continuing after step" err || wrong "the run that isn't finished should continue"
cmp --silent killed/model.safetensors whole/model.safetensors && wrong "the finished run should have taken the model's place"

# --- a run isn't resumed with another model, though that has the same shape: frozen weights are in no checkpoint
expect 0 bert_pretrain --corpus corpus.txt --model base --steps 1 --output trained_on
cp -r base reworded
sed -i 's/^tree$/shrub/' reworded/vocab.txt
frozen=("${classify[@]}" --freeze-layers 1 --output frozen)
interrupt "Dev after step 10" "${frozen[@]}" </dev/null
expect 1 "${frozen[@]/#base/trained_on}" --resume
[[ $(grep '^  ' err) == '  starting_weights: "'*'" there, "'*'" here' ]] || wrong "other weights to begin with should be named"
expect 1 "${frozen[@]/#base/reworded}" --resume
grep --quiet '^  vocabulary: ".*" there, ".*" here' err || wrong "another vocabulary should be named"
expect 1 "${frozen[@]}" --resume --evaluate-steps 5
[[ $(grep '^  ' err) == "  evaluate_steps: 10 there, 5 here" ]] || wrong "what decides on the best weights should be named"
expect 0 "${frozen[@]}" --resume

# --- in parts, more than an epoch's last batch has sequences; the number is the checkpoint's where none is given
expect 0 "${classify[@]}" --parts 20 --output parts
interrupt "Dev after step 10" "${classify[@]}" --parts 20 --output parts_stopped </dev/null
expect 1 "${classify[@]}" --parts 2 --output parts_stopped --resume
grep --quiet "parts: 20 there, 2 here" err || wrong "another number of parts should be refused by name"
expect 0 "${classify[@]}" --output parts_stopped --resume
cmp --silent parts_stopped/model.safetensors parts/model.safetensors || wrong "a resumed run should have the parts of its beginning"

# --- several seeds, early end, frozen layers
expect 0 "${classify[@]}" --seeds 2 --patience 1 --freeze-layers 1 --output seeds
grep --quiet "^accuracy: .* ± " err && grep --quiet "^The best on dev, which chose it: seed-" err ||
  wrong "mean, spread and the choice should be told"
[[ -e seeds/model.safetensors && -e seeds/runs/seed-1/model.safetensors && -e seeds/runs/seed-2/report.html ]] ||
  wrong "each run should have a folder, and the best be in the whole's"
expect 0 bert_predict --model seeds --text "the bird is lovely ."
several=("${classify[@]}" --patience 1 --freeze-layers 1 --output seeds --resume)
expect 0 "${several[@]}" --seeds 2
grep --quiet "^The run in seeds is finished: there is nothing to resume" err || wrong "that several runs are finished should be told"
[[ $(tail -n 1 out) == seeds ]] || wrong "the folder of finished runs should be printed"
expect 0 "${several[@]}" --seeds 3
[[ $(grep --count "^Continuing\|run begins" err) -eq 1 && -e seeds/runs/seed-3/model.safetensors ]] || wrong "the third alone should be trained"
expect 1 "${several[@]/#4/5}" --seeds 3
grep --quiet "seeds/runs/seed-1 has the model of a finished run with other settings" err || wrong "finished runs of other settings"
refused 1 "whole already --overwrite" "${classify[@]}" --seeds 2 --resume --output whole

# --- several labels, numbers, pairs
awk -F '\t' '{print $1 "\t" ($2 == "positive" ? "nice" : "") (/anna|bob/ ? (($2 == "positive") ? ",person" : "person") : "")}' all.tsv >several.tsv
expect 0 bert_finetune --task classify --multi-label --model base --train several.tsv --dev several.tsv --learning-rate 2e-3 \
  --output several
grep --quiet '"problem_type": "multi_label_classification"' several/config.json || wrong "the problem should be named"
expect 0 bert_predict --model several --text "the bird is lovely ." --json
grep --quiet '"labels":\["nice"\]' out || wrong "the labels should be those above one half: $(cat out)"
awk -F '\t' '{print $1 "\t" ($2 == "positive" ? 1.5 : -1)}' all.tsv >numbers.tsv
expect 0 bert_finetune --task regress --model base --train numbers.tsv --dev numbers.tsv --learning-rate 1e-3 --output numbers
grep --quiet -e "pearson 0.9" -e "pearson 1.0" err || wrong "numbers should be learned"
awk -F '\t' 'NR > 1 {print last "\t" $1 "\t" $2} {last = $1}' all.tsv >pairs.tsv
expect 0 bert_finetune --task classify --pairs --model base --train pairs.tsv --dev pairs.tsv --epochs 1 --output pairs
printf 'the cat is good .\tthe dog is bad .\n' >pair.tsv
expect 0 bert_predict --model pairs --pairs --input pair.tsv
refused 1 "text tab" bert_predict --model pairs --pairs --text "the cat is good ."
refused 1 "text UTF-8 byte 5" bert_predict --model whole --json --text $'the \xff'

# --- tag
for ((i = 0; i < 150; ++i)); do
  printf 'the O\n%s O\nsaw O\n%s B-PER\n%s I-PER\n. O\n\n' "${nouns[i % 6]}" "${names[i % 4]}" "${names[(i + 1) % 4]}"
  printf '%s B-PER\ndid O\n. O\n\n' "${names[i * 3 % 4]}"
done >tags.conll
expect 0 bert_finetune --task tag --model base --train tags.conll --dev tags.conll --learning-rate 2e-3 --output tagger
grep --quiet "^Saved: dev after step .*, f1 1.0000" err || wrong "names should be found"
expect 0 bert_predict --model tagger --text "the bird saw clara dan ."
[[ $(cut -f 1-3 out) == $'PER\tclara dan\t13-22' ]] || wrong "the name and its place should be printed, not '$(cat out)'"
expect 0 bert_predict --model tagger --text $'the bird saw clara\tdan .'
[[ $(cut -f 2,3 out) == $'clara dan\t13-22' ]] || wrong "a tab within a name shouldn't become a column: '$(cat out)'"
expect 0 bert_predict --model tagger --report tags.conll --json
grep --quiet '"f1":1.0' out || wrong "the report should have f1"

sed 's/B-PER$/S-PER/' tags.conll | sed -z 's/S-PER\n\([a-z]* \)I-PER/B-PER\n\1E-PER/g' >bioes.conll
expect 0 bert_finetune --task tag --model base --train tags.conll --dev bioes.conll --learning-rate 2e-3 --output mixed
grep --quiet "^Note: tags of another scheme become those of BIO:" err && grep --quiet "^  bioes.conll: BIOES" err ||
  wrong "a file of another scheme should be named"
cmp --silent mixed/model.safetensors tagger/model.safetensors || wrong "the same tags should give the same model"
expect 0 bert_predict --model tagger --report bioes.conll --json
grep --quiet '"f1":1.0' out || wrong "the report should be of the same entities"
expect 0 bert_finetune --task tag --model tagger --train bioes.conll --dev tags.conll --epochs 1 --output mixed --overwrite
grep --quiet '"2": "O"' mixed/config.json || wrong "a directory's tags should stay: $(cat mixed/config.json)"

# --- answer
{
  printf '{"data":[{"paragraphs":['
  for ((i = 0; i < 150; ++i)); do
    context="the ${nouns[i % 6]} is good . ${names[i % 4]} did ."
    answer=${names[i % 4]}
    before=${context%% "$answer"*}
    printf '%s{"context":"%s","qas":[{"id":"q%d","question":"who did ?","answers":[{"text":"%s","answer_start":%d}]}]}' \
      "$([[ $i -eq 0 ]] || echo ,)" "$context" $i "$answer" $((${#before} + 1))
  done
  printf ']}]}\n'
} >questions.json
expect 0 bert_finetune --task answer --model base --train questions.json --dev questions.json --learning-rate 2e-3 --epochs 4 \
  --max-length 64 --output reader
grep --quiet "^Saved: dev after step .* exact_match 100.0" err || wrong "who did it should be answered"
expect 0 bert_predict --model reader --text $'who did ?\tthe river is fine . bob did .' --json
grep --quiet '"answer":"bob","begin":20,"end":23' out || wrong "the answer should have its place: $(cat out)"
expect 0 bert_predict --model reader --input questions.json --json
[[ $(wc -l <out) -eq 150 ]] || wrong "each question should be answered"

# --- what is refused
run=(bert_finetune --model base --dev dev.tsv --output refused)
printf 'the cat is good .\tpositive\nthe dog\n' >short.tsv
refused 1 "short.tsv 2" "${run[@]}" --task classify --train short.tsv
printf 'the cat is good .\tpositive\nthe dog\t\n' >unlabeled.tsv
refused 1 "unlabeled.tsv 2 label" "${run[@]}" --task classify --train unlabeled.tsv
printf 'the cat is good .\tunheard\nthe cat is bad\tnegative\n' >other.tsv
expect 1 bert_finetune --model base --task classify --train train.tsv --dev other.tsv --output refused
grep --quiet "other.tsv, line 1: the label 'unheard' is none of those of the training data" err || wrong "a label of dev alone"
printf 'sentence,label\n"the cat,positive\n' >quotes.csv
refused 1 "quotes.csv 2" "${run[@]}" --task classify --train quotes.csv
: >empty.tsv
refused 1 "empty.tsv" bert_finetune --model base --task classify --train train.tsv --dev empty.tsv --output refused
printf 'the O\ncat\n\n' >broken.conll
refused 1 "broken.conll 2" bert_finetune --model base --task tag --train broken.conll --dev tags.conll --output refused
refused 1 "wrong accuracy" "${run[@]}" --task classify --train train.tsv --metric wrong
expect 1 bert_finetune --model whole --task classify --train other.tsv --dev dev.tsv --output refused
grep --quiet "unheard" err && grep --quiet "directory" err || wrong "labels that the directory doesn't have should be named"
refused 1 "no head that" bert_predict --model base --text "the cat"
refused 1 "regression single_label_classification" bert_finetune --model numbers --task classify --train train.tsv --dev dev.tsv --output refused
refused 2 "--epochs" "${run[@]}" --task classify --train train.tsv --grid --epochs 2
report
