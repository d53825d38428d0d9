#!/usr/bin/env bash
# The programs from the outside, with good and bad input: exit status, a line that says what is wrong, what is left in
# the output folder, signals.
#   tests/apps/programs_test.sh build/release
source "$(dirname "${BASH_SOURCE[0]}")/program_checks.sh"
running=
trap '[[ -z $running ]] || kill -KILL "$running" 2>/dev/null; rm -rf "$work"' EXIT
export OMP_NUM_THREADS=1

# starts COMMAND…: in the background, up to its training; its process is `running`.
starts() {
  rm -f err  # or the last command's would be searched
  "$@" >out 2>err </dev/null &
  running=$!
  for ((i = 0; i < 600; ++i)); do
    ! grep --quiet --no-messages "after step 0" err || return 0
    kill -0 $running 2>/dev/null || break
    sleep 0.1
  done
  wrong "'$*' didn't begin to train"
}

# ends STATUS: what `starts` started.
ends() {
  local came
  wait "$running" 2>/dev/null
  came=$?
  running=
  [[ $came -eq $1 ]] || wrong "the program ended with status $came, not $1"
}

loads() { expect 0 bert_fill_mask --model "$1" --text "the [MASK] sat on the mat ." --top-k 2; }

for ((i = 0; i < 12; ++i)); do
  printf '%s\n' "the cat sat on the mat ." "a dog ran to the old house ." "the bird sang in the green tree ."
done >corpus.txt
pretrain=(bert_pretrain --corpus corpus.txt --preset tiny --batch-tokens 64 --vocab-size 100)

# --- next_word
expect 0 next_word
grep --quiet --extended-regexp '^Epoch 10, Loss: [0-9]+\.[0-9]{4}$' out || wrong "next_word: no line of epoch 10"
[[ $(tail -n 1 out) == "Predicted Word: playing" ]] || wrong "next_word predicts otherwise: $(tail -n 1 out)"
[[ $(wc -l <out) -eq 11 ]] || wrong "next_word should print 11 lines"
cp out first
expect 0 next_word
cmp --silent out first || wrong "next_word prints something else the second time"
refused 1 "sentence two" next_word --sentence "one"
refused 1 "prompt zebra" next_word --prompt "zebra"
refused 1 "prompt" next_word --prompt " "
refused 2 "--no-such-option" next_word --no-such-option
refused 2 "threads" next_word --threads 0
refused 2 "seed" next_word --seed -1

# --- bert_pretrain: what can't be trained on
: >empty.txt
printf '\n  \n\n' >blank.txt
printf 'some text\0and more\n' >binary.txt
printf 'one line\n' >single.txt
printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' the cat sat >vocab.txt
printf 'not json' >config.json
: >file
for name in missing empty blank binary; do
  refused 1 "$name.txt" bert_pretrain --corpus $name.txt --preset tiny --output refused
done
refused 1 "corpus" bert_pretrain --corpus single.txt --preset tiny --output refused
refused 1 "missing.txt" "${pretrain[@]}" --held-out missing.txt --output refused
refused 1 "[MASK]" "${pretrain[@]}" --vocab vocab.txt --output refused
refused 1 "missing.txt" "${pretrain[@]}" --vocab missing.txt --output refused
refused 1 "config.json" bert_pretrain --corpus corpus.txt --config config.json --output refused
refused 1 "file/out" "${pretrain[@]}" --output file/out
if [[ $EUID -ne 0 ]]; then  # root may write everywhere
  mkdir --mode=555 closed
  refused 1 "closed" "${pretrain[@]}" --output closed
fi
refused 2 "--no-such-option" "${pretrain[@]}" --no-such-option --output refused
refused 2 "preset huge" bert_pretrain --corpus corpus.txt --preset huge --output refused
for option in steps epochs batch-tokens max-length warmup vocab-size learning-rate weight-decay dropout threads; do
  refused 2 "$option" bert_pretrain --corpus corpus.txt --$option -1 --output refused
done
for option in corpus write-corpus held-out vocab config output; do
  refused 2 "--$option: needs a name" bert_pretrain --$option ""
done
refused 2 "--corpus: needs a name" bert_pretrain --corpus corpus.txt "" --output refused
refused 2 "seed" "${pretrain[@]}" --seed -1 --steps 1 --output refused
refused 2 "learning-rate" "${pretrain[@]}" --learning-rate nan --output refused
refused 2 "steps" "${pretrain[@]}" --steps many --output refused

BERTIE_GEMM=none refused 1 "[gemm] BERTIE_GEMM" "${pretrain[@]}" --output refused
[[ $(wc -l <err) -eq 1 ]] || wrong "a wrong BERTIE_GEMM should be told before anything else"

# --- bert_pretrain: a model, and not over another one
{ head -n 6 corpus.txt; printf 'the \xff cat sat .\nthe cat \xc3 sat \x80 .\n'; cat corpus.txt; } >invalid.txt
expect 0 bert_pretrain --corpus invalid.txt --preset tiny --batch-tokens 64 --vocab-size 100 --steps 2 --output model
[[ $(grep -c "UTF-8" err) -eq 1 ]] || wrong "invalid UTF-8 should be reported once"
grep "UTF-8" err | grep --quiet "invalid.txt, line 7" || wrong "invalid UTF-8 should be reported with file and line"
[[ $(cat out) == model ]] || wrong "bert_pretrain should print the folder of the model"
[[ -z $(ls -A model | grep -v -x -e config.json -e vocab.txt -e tokenizer_config.json -e model.safetensors \
  -e metrics.jsonl) ]] || wrong "unexpected files in the model's folder: $(ls -A model)"
before=$(cat model/* | cksum)
refused 1 "model/ --overwrite" "${pretrain[@]}" --steps 1 --output model
[[ $(cat model/* | cksum) == "$before" ]] || wrong "a model was changed without --overwrite"
expect 0 "${pretrain[@]}" --steps 2 --output model --overwrite
[[ $(cat model/* | cksum) != "$before" ]] || wrong "--overwrite should replace the model"
[[ $(grep -c '^{"step":' model/metrics.jsonl) -eq 3 && ! -e model/unfinished-metrics.jsonl ]] || wrong "metrics.jsonl"
loads model

# --- brackets are part of a word or a name
cp corpus.txt '[draft]'
cp corpus.txt '[a,b]'
expect 0 bert_pretrain --corpus '[draft]' '[a,b]' --corpus corpus.txt --unscored '[UNK]' cat --preset tiny --vocab-size 100 \
  --steps 1 --output brackets
grep --quiet "^Text: 108 lines" err || wrong "three files should have 108 lines"
refused 1 "[unscored] '[zebra]'" "${pretrain[@]}" --unscored cat '[zebra]' --output refused

# --- the default text: the report at the end knows the best possible score; left out under the sanitizers, being long
expect 0 bert_pretrain --write-corpus text.txt
[[ $(cat out) == text.txt && $(wc -l <text.txt) -gt 10000 ]] || wrong "--write-corpus should write the default text"
refused 2 "--write-corpus --corpus" bert_pretrain --write-corpus text.txt --corpus corpus.txt
refused 1 "missing/text.txt" bert_pretrain --write-corpus missing/text.txt
if ! grep --quiet "BERTIE_SANITIZE:BOOL=ON" "$build/CMakeCache.txt"; then
  limit=240 expect 0 bert_pretrain --preset tiny --batch-tokens 64 --steps 1 --output language --threads 2
  for row in "all " "number far" "sense far"; do
    [[ $(grep -c -E "^$row( +[0-9.]+){13}$" err) -eq 1 ]] || wrong "bert_pretrain should print a row '$row'"
  done
  tail -n 1 language/metrics.jsonl | grep --quiet '"language":{"all":{"positions":' || wrong "metrics.jsonl lacks language"
  for other in "--vocab-size 300" "--cased" "--held-out corpus.txt" "--unscored king" "--max-length 60"; do
    # shellcheck disable=SC2086
    expect 0 bert_pretrain --preset tiny --batch-tokens 64 --steps 1 $other --output other --overwrite --threads 2
    grep --quiet "best possible score" err || wrong "with $other the best possible score should be said to be unknown"
    ! grep --quiet "^number far" err || wrong "with $other a bound was printed that doesn't hold"
  done
fi

# --- signals
starts "${pretrain[@]}" --steps 1000000 --output stopped
kill -INT $running
ends 130
[[ $(cat out) == stopped ]] || wrong "an interrupted bert_pretrain should print the folder of the model"
[[ $(grep -c '^{"step":' stopped/metrics.jsonl) -ge 2 && ! -e stopped/unfinished-metrics.jsonl ]] ||
  wrong "an interrupted bert_pretrain should leave metrics.jsonl"
loads stopped
# The model that is there stays with its metrics until the new one is complete.
before=$(cat stopped/* | cksum)
starts "${pretrain[@]}" --steps 1000000 --output stopped --overwrite
for ((i = 0; i < 600; ++i)); do [[ ! -e stopped/unfinished-metrics.jsonl ]] || break; sleep 0.1; done
kill -KILL $running
ends 137
grep --quiet '^{"step":0' stopped/unfinished-metrics.jsonl || wrong "a killed bert_pretrain should leave its metrics"
rm -f stopped/unfinished-metrics.jsonl
[[ $(cat stopped/* | cksum) == "$before" ]] || wrong "a killed bert_pretrain changed the old model or its metrics"
mkdir begun && : >begun/unfinished-metrics.jsonl
expect 1 "${pretrain[@]}" --steps 1 --output begun
grep --quiet "begun/unfinished-metrics.jsonl is there already" err || wrong "two runs may not write into one folder unasked"
starts "${pretrain[@]}" --steps 1000000 --output killed
kill -KILL $running
ends 137
[[ ! -e killed/model.safetensors ]] || wrong "a killed bert_pretrain left model.safetensors"
refused 1 "killed" bert_fill_mask --model killed --text "the [MASK] sat ."

# --- bert_fill_mask
expect 0 bert_fill_mask --model model --text "the [MASK] sat on the [MASK] ." --top-k 3
[[ $(grep -c -x '\[MASK\] [12]:' out) -eq 2 && $(wc -l <out) -eq 8 ]] || wrong "two [MASK]s should have three words each"
expect 0 bert_fill_mask --model model --text "the [MASK] sat on the [MASK] ." --top-k 3 --json
[[ $(wc -l <out) -eq 2 ]] || wrong "--json should print an object per [MASK]"
cat >read_json.cmake <<'END'
file(READ object.json object)
string(JSON position GET "${object}" position)
string(JSON count LENGTH "${object}" candidates)
string(JSON token GET "${object}" candidates 2 token)
string(JSON id GET "${object}" candidates 2 id)
string(JSON probability GET "${object}" candidates 2 probability)
if(NOT count EQUAL 3 OR NOT id MATCHES "^[0-9]+$" OR NOT probability GREATER 0 OR NOT probability LESS 1)
  message(FATAL_ERROR "unexpected values")
endif()
message(${position})
END
positions=
while read -r object; do
  echo "$object" >object.json
  positions+=" $(cmake -P read_json.cmake 2>&1)"
done <out
[[ $positions == " 2 6" ]] || wrong "--json isn't what it should be: $(cat out) $positions"  # 0 is [CLS]
refused 1 "[MASK]" bert_fill_mask --model model --text "the cat sat ."
refused 1 "missing" bert_fill_mask --model missing --text "the [MASK] sat ."
refused 2 "top-k" bert_fill_mask --model model --text "the [MASK] sat ." --top-k 0
refused 2 "top-k" bert_fill_mask --model model --text "the [MASK] sat ." --top-k -1
refused 2 "--text" bert_fill_mask --model model
cp -r model truncated
for bytes in 0 4 100 100000; do
  head -c $bytes model/model.safetensors >truncated/model.safetensors
  refused 1 "truncated/model.safetensors" bert_fill_mask --model truncated --text "the [MASK] sat ."
done

# --- standard output that can't be written
for command in "next_word" "bert_fill_mask --model model --text the_[MASK]" \
               "bert_pretrain --corpus corpus.txt --preset tiny --batch-tokens 64 --vocab-size 100 --steps 1 --output full"; do
  # shellcheck disable=SC2086
  timeout 60 $command >/dev/full 2>err </dev/null
  status=$?
  [[ $status -eq 1 ]] || wrong "'$command >/dev/full' ended with status $status, not 1"
  tail -n 1 err | grep --quiet "^${command%% *}: .*output" || wrong "'$command >/dev/full' should say that output failed"
done
for program in next_word wordpiece "wordpiece encode" bert_pretrain bert_fill_mask bert_embed mlm_step; do
  # shellcheck disable=SC2086
  expect 0 $program --help
  grep --quiet "^Usage: $program" out || wrong "'$program --help' should print its usage"
  $program --help >/dev/full 2>err
  [[ $? -eq 1 ]] && grep --quiet "^${program%% *}: \[output\] " err || wrong "'$program --help >/dev/full'"
done
version=$(sed -n 's/^CMAKE_PROJECT_VERSION:STATIC=//p' "$build/CMakeCache.txt")
for program in next_word wordpiece bert_pretrain bert_fill_mask bert_embed mlm_step; do
  expect 0 $program --version
  [[ $(cat out) == "$program (bertie) $version" && $version == [0-9]*.[0-9]*.[0-9]* ]] || wrong "version: $(cat out)"
done

# --- threads that wait rest, unless the user wants them otherwise; libgomp prints its settings whenever it is loaded
unset OMP_WAIT_POLICY GOMP_SPINCOUNT
spins() { grep GOMP_SPINCOUNT err | tail -n 1 | grep --only-matching '[0-9]*'; }
OMP_DISPLAY_ENV=verbose expect 0 wordpiece --version
[[ $(spins) == 2000 && $(grep -c GOMP_SPINCOUNT err) -eq 2 ]] || wrong "wordpiece's threads spin $(spins) times"
GOMP_SPINCOUNT=7 OMP_DISPLAY_ENV=verbose expect 0 wordpiece --version
[[ $(spins) == 7 && $(grep -c GOMP_SPINCOUNT err) -eq 1 ]] || wrong "the user's GOMP_SPINCOUNT=7 became $(spins)"
OMP_WAIT_POLICY=active OMP_DISPLAY_ENV=verbose expect 0 wordpiece --version
[[ $(spins) -gt 300000 && $(grep -c GOMP_SPINCOUNT err) -eq 1 ]] || wrong "the user's OMP_WAIT_POLICY=active became $(spins)"
expect 0 wordpiece --help
cp out first
OMP_WAIT_POLICY=passive expect 0 wordpiece --help
cmp --silent out first || wrong "wordpiece --help prints something else where it starts anew"
starts "${pretrain[@]}" --output renamed --steps 100000
[[ $(<"/proc/$running/comm") == bert_pretrain ]] || wrong "bert_pretrain became $(<"/proc/$running/comm")"
kill -TERM "$running"
ends 130

report
