#!/usr/bin/env bash
# bert_pretrain's runs: continued where they were killed or interrupted they are those that were never disturbed; from any
# model; with next-sentence prediction; by the clock.
#   tests/apps/pretrain_runs_test.sh build/release
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd) || exit 2
source "$root/tests/apps/program_checks.sh"

small_documents >corpus.txt
model=(--preset tiny)
if sanitized; then
  small_model >small.json
  model=(--config small.json)
fi
run=(bert_pretrain --corpus corpus.txt "${model[@]}" --vocab-size 100 --batch-tokens 200 --parts 3 --dropout 0.1
  --objective mlm+nsp --optimizer adamw --whole-words --steps 120 --checkpoint-steps 10 --evaluate-steps 30 --cache cache)
steps() { sed -n -E '/"kind":"training"/ { s/"seconds":[^,]*,//; s/,"tokens_per_second".*//; p }' "$1"; }
same_as_whole() {
  cmp --silent "$1/model.safetensors" whole/model.safetensors || wrong "$1 should be the undisturbed run's model"
  cmp <(steps whole/metrics.jsonl) <(steps "$1/metrics.jsonl") || wrong "$1's metrics should be complete"
}

expect 0 "${run[@]}" --threads 2 --output whole
[[ $(ls whole/checkpoints | wc -l) -le 3 ]] || wrong "two checkpoints and the best should be kept: $(ls whole/checkpoints)"
grep --quiet "next sentence: loss" err || wrong "next-sentence prediction should be evaluated"
grep --quiet '"nsp_accuracy"' whole/metrics.jsonl || wrong "metrics should have that of next sentences"

# --- kill -9, then other numbers of threads
for threads in 1 2; do
  kill_at_checkpoint killed "${run[@]}" --threads $threads --output killed --resume
done
refused 1 "killed/checkpoints --resume --overwrite" "${run[@]}" --output killed
expect 0 "${run[@]}" --output killed --resume
same_as_whole killed
refused 1 "killed already --resume --overwrite" "${run[@]}" --output killed
cp -r killed bare && rm bare/checkpoints/*
expect 1 "${run[@]}" --output bare
grep --quiet "bare already" err && ! grep --quiet -e "--resume" err || wrong "without checkpoints nothing can be resumed: $(cat err)"
expect 0 "${run[@]}" --output killed --resume
grep --quiet "^The run in killed is finished: there is nothing to resume" err || wrong "that a run is finished should be told"
[[ $(cat out) == killed ]] || wrong "the folder of a finished run should be printed"
same_as_whole killed
expect 1 "${run[@]/#120/150}" --output killed --resume
grep --quiet "run with other settings" err && grep --quiet "steps: 120 there, 150 here" err || wrong "other settings should be named"
echo "one more line" >>corpus.txt
expect 1 "${run[@]}" --output killed --resume
grep --quiet '^  text: ".*" there, ".*" here' err || wrong "a text that changed should be named"
sed -i '$d' corpus.txt

# --- Ctrl-C: the line that it prints continues
interrupt "after step 30" "${run[@]}" --output "with space" </dev/null
command=$(told_command)
[[ $command == *"'with space'"*" --resume" ]] || wrong "the command that continues should be printed, not '$command'"
bash -c "$command" >out 2>err </dev/null || wrong "'$command' should continue"
grep --quiet "^Continuing after step" err || wrong "the run should continue"
same_as_whole "with space"

# --- text from standard input isn't needed again, as long as the cache is there
piped=("${run[@]/#corpus.txt/-}")
piped[-1]=piped-cache
interrupt "after step 30" "${piped[@]}" --output piped < <(cat corpus.txt)
command=$(told_command)
cp -r piped lost
echo "another text" | bash -c "$command" >out 2>err || wrong "'$command' should continue"
grep --quiet "^Standard input isn't read: .* from piped-cache" err || wrong "that standard input isn't read should be told"
same_as_whole piped
expect 1 "${piped[@]}" --output lost --resume --cased
grep --quiet "only the tokens were stored" err || wrong "other tokens need the text"
rm -r piped-cache
expect 1 "${piped[@]}" --output lost --resume
grep --quiet "\[corpus\] .* piped-cache doesn't have it any more: it must come again" err || wrong "a lost text should be told"
sed 's/cat/dog/' corpus.txt | "${piped[@]}" --output lost --resume >out 2>err && wrong "another text can't continue"
grep --quiet '^  text: ".*" there, ".*" here' err || wrong "another text should be named"
cat corpus.txt | "${piped[@]}" --output lost --resume >out 2>err || wrong "the same text should continue"
same_as_whole lost

# --- killed when the model was saved, and not yet evaluated: that is made up for
cp -r killed unevaluated
sed -i '$d' unevaluated/metrics.jsonl
expect 0 "${run[@]}" --output unevaluated --resume
grep --quiet "^Continuing after step 120" err || wrong "the last evaluation should be made up for"
same_as_whole unevaluated

# --- another run that takes the place of a finished model is resumed, though that model is finished
cp -r killed replaced
interrupt "after step 30" "${run[@]}" --seed 2 --output replaced --overwrite </dev/null
expect 0 "${run[@]}" --seed 2 --output replaced --resume
grep --quiet "^Continuing after step" err || wrong "the run that isn't finished should continue"
cmp --silent replaced/model.safetensors whole/model.safetensors && wrong "the finished run should have taken the model's place"

# --- a damaged checkpoint: the one before is used
cp -r killed damaged
rm damaged/bertie_training.json  # as if the model weren't saved yet
newest=$(ls damaged/checkpoints | tail -n 1)
truncate -s -1000 "damaged/checkpoints/$newest"
expect 0 "${run[@]}" --output damaged --resume
grep --quiet "Note: a checkpoint can't be used: .*$newest" err || wrong "a damaged checkpoint should be told"
same_as_whole damaged
rm damaged/bertie_training.json
truncate -s -1000 damaged/checkpoints/*
expect 0 "${run[@]}" --output damaged --resume
[[ $(grep -c "Note: a checkpoint can't be used" err) -gt 1 ]] || wrong "each damaged checkpoint should be told"
grep --quiet "^There is no checkpoint in damaged/checkpoints that can be used: the run begins" err || wrong "a run that begins anew"
same_as_whole damaged

# --- from another model, by the clock, and without a checkpoint yet
expect 0 bert_pretrain --corpus corpus.txt --model whole --batch-tokens 200 --time 2s --output continued --cache cache --resume
grep --quiet "^There is no checkpoint in continued/checkpoints yet" err || wrong "that a run begins anew should be told"
grep --quiet '"finished":true' continued/bertie_training.json || wrong "a run by the clock should reach its end"
cmp --silent whole/vocab.txt continued/vocab.txt || wrong "the vocabulary should be the model's"
expect 0 bert_pretrain --corpus corpus.txt --model whole --batch-tokens 200 --steps 2 --output other --cache cache
expect 1 bert_pretrain --corpus corpus.txt --model other --batch-tokens 200 --time 2s --output continued --cache cache --resume
[[ $(grep '^  ' err) == '  starting_weights: "'*'" there, "'*'" here' ]] || wrong "another model to begin with should be named"
expect 2 bert_pretrain --model whole --preset tiny --output refused
expect 2 bert_pretrain --steps 5 --time 1h --output refused
refused 2 "5 is not a time" bert_pretrain --time 5 --output refused

# --- next sentences need documents
tr -s '\n' <corpus.txt >one_document.txt
for texts in "one_document.txt --held-out corpus.txt" "corpus.txt --held-out one_document.txt"; do
  # shellcheck disable=SC2086  # several words
  refused 1 "two documents" bert_pretrain --corpus $texts --preset tiny --vocab-size 100 \
    --objective mlm+nsp --output refused --cache cache
done
# --- the held-out text is masked alike, whatever training's share is
for share in 0.15 0.5; do
  expect 0 bert_pretrain --corpus corpus.txt "${model[@]}" --vocab-size 100 --batch-tokens 200 --steps 1 --cache cache \
    --mask-probability $share --output share_$share
done
grep --quiet '"kind":"evaluation","step":0' share_0.15/metrics.jsonl &&
  cmp <(head -n 1 share_0.15/metrics.jsonl) <(head -n 1 share_0.5/metrics.jsonl) ||
  wrong "what is scored of the held-out text should not depend on --mask-probability"

report
