#!/usr/bin/env bash
# The folder that a training program writes its model to: what is there isn't lost, whatever ends the program, nothing
# stays unexplained, and what would fail at the end fails at the start.
#   tests/apps/model_folder_test.sh build/release
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd) || exit 2
source "$root/tests/apps/program_checks.sh"
running=
trap '[[ -z $running ]] || kill -KILL "$running" 2>/dev/null; rm -rf "$work"' EXIT
export OMP_NUM_THREADS=1

# starts COMMAND…: in the background; its process is `running`.
starts() {
  rm -f err  # or the last command's would be searched
  "$@" >out 2>err </dev/null &
  running=$!
}
# says WORDS: waits until the program does so.
says() {
  for ((i = 0; i < 600; ++i)); do
    ! grep --quiet --no-messages -e "$1" err || return 0
    kill -0 $running 2>/dev/null || break
    sleep 0.1
  done
  wrong "the program should say '$1'"
}
trains() {
  says "after step 0"
  sleep 0.3
}
# ends STATUS: what `starts` started.
ends() {
  local came
  wait "$running" 2>/dev/null
  came=$?
  running=
  [[ $came -eq $1 ]] || wrong "the program ended with status $came, not $1"
}
holds() {  # folder, names …
  local folder=$1
  shift
  [[ $(ls -A --ignore=checkpoints "$folder" | LC_ALL=C sort | tr '\n' ' ') == "$(printf '%s\n' "$@" | LC_ALL=C sort | tr '\n' ' ')" ]] ||
    wrong "$folder should hold $*, not $(ls -A --ignore=checkpoints "$folder")"
}
sum() { cat "$1"/{config.json,vocab.txt,tokenizer_config.json,model.safetensors,metrics.jsonl,report.html,bertie_training.json} | cksum; }
unchanged() { [[ $(sum old) == "$before" ]] || wrong "the finished model was changed: $*"; }
loads() { expect 0 bert_fill_mask --model "$1" --text "the [MASK] sat on the mat ." --top-k 2; }

for ((i = 0; i < 12; ++i)); do
  printf '%s\n' "the cat sat on the mat ." "a dog ran to the old house ." "the bird sang in the green tree ."
done >corpus.txt
cat >config.json <<'END'
{"model_type": "bert", "vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
 "intermediate_size": 64, "max_position_embeddings": 64}
END
model=(config.json vocab.txt tokenizer_config.json model.safetensors metrics.jsonl report.html bertie_training.json)
settings=(--config config.json --max-length 64 --vocab-size 100)
pretrain=(bert_pretrain --corpus corpus.txt --batch-tokens 64 "${settings[@]}")
expect 0 "${pretrain[@]}" --steps 20 --output old
[[ $(cat old/bertie_training.json) == '{"steps":20,"planned_steps":20,"finished":true,"settings":{"objective":"mlm",'* ]] || wrong "bertie_training.json"
before=$(sum old)

# --- before the training every signal ends the program at once, and nothing is left
mkfifo text
exec 9<>text
for signal in INT:130 TERM:143 HUP:129 KILL:137; do
  starts bert_pretrain --corpus text "${settings[@]}" --output old --overwrite
  for ((i = 0; i < 100; ++i)); do [[ -d /proc/$running/task && $(ls /proc/$running/task | wc -l) -ge 2 ]] && break; sleep 0.1; done
  sleep 0.2
  kill -"${signal%:*}" $running
  ends "${signal#*:}"
  unchanged "$signal while reading"
  holds old "${model[@]}"
done

# --- in the training: the step is finished, and what is trained goes where no model is
for signal in INT:130 TERM:143 HUP:129; do
  starts "${pretrain[@]}" --steps 1000000 --output new
  trains
  kill -"${signal%:*}" $running
  ends "${signal#*:}"
  says "the step is finished, then what is trained is saved"
  says "The training ended at step [0-9]* of 1000000. What is trained is in new, "
  [[ $(cat out) == new && $(grep -c '^{"kind":"evaluation",' new/metrics.jsonl) -eq 2 ]] || wrong "an interrupted run leaves model and metrics"
  grep --quiet '"planned_steps":1000000,"finished":false' new/bertie_training.json || wrong "an interrupted run should say so"
  holds new "${model[@]}"
  loads new
  refused 1 "model already step of 1000000 --overwrite" "${pretrain[@]}" --output new
  rm -r new
done
starts "${pretrain[@]}" --steps 1000000 --output old --overwrite
trains
kill -INT $running
ends 130
says "is in old/unfinished, .* the model in old is as it was"
[[ $(cat out) == old/unfinished ]] || wrong "the folder of what is trained should be printed"
unchanged "Ctrl-C in the training"
holds old "${model[@]}" unfinished
holds old/unfinished "${model[@]}"
loads old/unfinished
starts "${pretrain[@]}" --steps 1000000 --output old --overwrite
trains
says "Note: old/unfinished is what an earlier run left, step [0-9]* of 1000000"
kill -TERM $running
ends 143
unchanged "SIGTERM in the training"
holds old "${model[@]}" unfinished unfinished-2
rm -r old/unfinished*

# A second Ctrl-C loses nothing, and says so. A step of so many tokens takes a second.
for ((i = 0; i < 400; ++i)); do cat corpus.txt; done >long.txt
starts bert_pretrain --corpus long.txt "${settings[@]}" --batch-tokens 100000 --steps 1000000 --output new
trains
kill -INT $running
says "Ctrl-C: the step is finished, then what is trained is saved"
kill -TERM $running
says "SIGTERM: already so: the step is finished"
ends 130
loads new
rm -rf new

# Under nohup a closed terminal doesn't end the training.
starts bash -c 'trap "" HUP; exec "$@"' - "${pretrain[@]}" --steps 3000 --output new
trains
kill -HUP $running
ends 0
grep --quiet '"finished":true' new/bertie_training.json || wrong "nohup should let the training reach its end"
rm -r new

# --- killed: the next run says what is left, and isn't blocked by it
starts "${pretrain[@]}" --steps 1000000 --output old --overwrite
trains
kill -KILL $running
ends 137
unchanged "SIGKILL in the training"
holds old "${model[@]}" unfinished-metrics.jsonl unfinished-report.html
cp -r old again
expect 0 "${pretrain[@]}" --steps 2 --output again --overwrite
grep --quiet "Note: again/unfinished-metrics.jsonl is what a killed run left" err || wrong "the metrics of a killed run should be explained"
holds again "${model[@]}"
rm old/unfinished-{metrics.jsonl,report.html}
mkdir -p again/unfinished-3/bertie-saving-abcdef again/unfinished-notes
mkdir again/bertie-saving-abcdef && : >again/bertie-saving-abcdef/vocab.txt
mkdir again/bertie-saved && mv again/config.json again/bertie-saved/
expect 1 "${pretrain[@]}" --steps 2 --output again
holds again "${model[@]}" unfinished-notes unfinished-3  # it was refused
expect 0 "${pretrain[@]}" --steps 2 --output again --overwrite
holds again "${model[@]}" unfinished-notes
loads again
rm -r again

# --- a training that fails doesn't block the next one, and what it trained before is kept
expect 1 "${pretrain[@]}" --steps 100 --learning-rate 1000 --weight-decay 1000 --output new
grep --quiet "loss of step [0-9]* is .*: a lower learning rate may help" err || wrong "a loss that isn't finite should be told"
holds new unfinished
holds new/unfinished "${model[@]}"
expect 0 "${pretrain[@]}" --steps 2 --output new
holds new "${model[@]}" unfinished
rm -r new
expect 1 "${pretrain[@]}" --steps 100 --learning-rate 1000 --weight-decay 1000 --output old --overwrite
unchanged "a loss that isn't finite"
rm -r old/unfinished

# --- no room: told before the training; where the disk is full at the end after all, what is there stays
expect 1 bash -c 'ulimit -f 8; exec "$@"' - "${pretrain[@]}" --steps 2 --output new
grep --quiet "new has no room for the model, which needs [0-9]* bytes" err && ! grep --quiet "after step 0" err ||
  wrong "a disk without room should be told before the training"
[[ ! -e new ]] || wrong "a folder that was made for nothing should go again"
if command -v prlimit >/dev/null; then
  starts "${pretrain[@]}" --steps 1000000 --output old --overwrite
  trains
  prlimit --pid $running --fsize=20000
  kill -INT $running
  ends 1
  says "\[output\] what [0-9]* steps trained can't be saved: .*File too large. .*The model in old is as it was"
  unchanged "a full disk"
  holds old "${model[@]}" unfinished-metrics.jsonl unfinished-report.html
  rm old/unfinished-{metrics.jsonl,report.html}
else
  echo "skipped: a disk that is full at the end needs prlimit"
fi

# Others fill the disk during the training: the room was taken before.
mkdir small
if unshare --mount mount -t tmpfs -o size=6m tmpfs small 2>/dev/null; then
  expect 130 unshare --mount bash -c '
    mount -t tmpfs -o size=6m tmpfs small || exit
    "$@" --output small/out 2>small.err &
    running=$!
    for ((i = 0; i < 600; ++i)); do ! grep --quiet "after step 0" small.err || break; sleep 0.1; done
    sleep 0.3
    dd if=/dev/zero of=small/fill bs=1k 2>/dev/null
    [[ $(df --output=avail small | tail -n 1) -eq 0 ]] || exit
    kill -INT $running
    wait $running
    status=$?
    cp -r small/out filled
    exit $status' - "${pretrain[@]}" --steps 1000000
  holds filled "${model[@]}"
  loads filled
else
  echo "skipped: a small disk to fill needs unshare and mount"
fi

# --- two runs don't write into one folder
starts "${pretrain[@]}" --steps 1000000 --output old --overwrite
trains
expect 1 "${pretrain[@]}" --steps 1 --output old --overwrite
grep --quiet "another program is writing a model to old now" err || wrong "a second run into one folder should be refused"
expect 1 mlm_step --model old --text "the [MASK] sat" --target cat --output old --overwrite
kill -KILL $running
ends 137
rm old/unfinished-{metrics.jsonl,report.html}
unchanged "two runs"

# --- what isn't ours, and what would fail at the end, before any text is read (which is missing here)
mkdir new
for name in pytorch_model.bin tokenizer.json added_tokens.json model-00001-of-00003.safetensors tf_model.h5 metrics.jsonl report.html; do
  echo mine >new/$name
  refused 1 "new already $name --overwrite" "${pretrain[@]}" --corpus missing.txt --output new
  rm new/$name
done
for name in config.json vocab.txt model.safetensors pytorch_model.bin metrics.jsonl report.html unfinished-metrics.jsonl \
  unfinished-report.html; do
  for make in mkdir mkfifo; do
    $make new/$name
    refused 1 "new/$name" "${pretrain[@]}" --corpus missing.txt --output new --overwrite
    rm -r new/$name
  done
done
for name in notes.txt pytorch_model-my-of-notes.bin model-1-of-2.safetensors; do echo mine >new/$name; done
expect 0 "${pretrain[@]}" --steps 1 --output new
holds new "${model[@]}" notes.txt pytorch_model-my-of-notes.bin model-1-of-2.safetensors
echo '[]' >new/modules.json
refused 1 "new sentence-transformers" "${pretrain[@]}" --corpus missing.txt --output new --overwrite
refused 1 "missing.txt" "${pretrain[@]}" --corpus missing.txt --output made
[[ ! -e made ]] || wrong "a folder that was made for nothing should go again"
refused 1 "missing/vocab.txt" wordpiece train --input missing.txt --output missing/vocab.txt

# --- mlm_step
starts mlm_step --model old --text "the [MASK] sat" --target cat --steps 1000000 --output old --overwrite
for ((i = 0; i < 600; ++i)); do [[ ! -s out ]] || break; sleep 0.1; done
sleep 0.3
kill -INT $running
ends 130
unchanged "Ctrl-C in mlm_step"
says "is in old/unfinished, .* the model in old is as it was"
holds old "${model[@]}" unfinished
loads old/unfinished

# --- scripts/pretrain.sh makes nothing anew unasked
mkdir -p copy/scripts copy/docs copy/build/release commands
cp "$root/scripts/pretrain.sh" copy/scripts/
cp "$root/docs/bert_pretrain.txt" copy/docs/
printf '#!/bin/sh\n' | tee commands/cmake >copy/scripts/install_dependencies.sh
: >copy/build/release/build.ninja
printf '#!/bin/sh\necho "trains: $*" >&2\necho model\n' >copy/build/release/bert_pretrain
chmod +x commands/cmake copy/scripts/* copy/build/release/bert_pretrain
export PATH="$PWD/commands:$PATH"
expect 0 copy/scripts/pretrain.sh
grep --quiet "^trains: --output .*/copy/build/pretrained --config " err && ! grep --quiet -e --overwrite err ||
  wrong "pretrain.sh should train without --overwrite"
mkdir -p copy/build/pretrained
echo '{"steps":9,"planned_steps":9,"finished":true}' >copy/build/pretrained/bertie_training.json
: >copy/build/pretrained/report.html
expect 0 copy/scripts/pretrain.sh
grep --quiet "browser: .*/copy/build/pretrained/report.html$" out || wrong "pretrain.sh should name the report"
! grep --quiet "^trains" err && grep --quiet "nothing to do" out || wrong "pretrain.sh should train nothing a second time"
expect 0 copy/scripts/pretrain.sh --overwrite
grep --quiet "^trains: .* --overwrite" err || wrong "pretrain.sh --overwrite should train anew"

report
