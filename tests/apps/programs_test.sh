#!/usr/bin/env bash
# The programs from the outside, with good and bad input: exit status, a line that says what is wrong, what is left in
# the output folder.
#   tests/apps/programs_test.sh build/release
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
source "$root/tests/apps/program_checks.sh"
running=
trap '[[ -z $running ]] || kill -KILL "$running" 2>/dev/null; rm -rf "$work"' EXIT
export OMP_NUM_THREADS=1

# ends STATUS: `running`.
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
with_vocab=("${pretrain[@]:0:7}" --vocab)
refused 1 "[MASK]" "${with_vocab[@]}" vocab.txt --output refused
refused 1 "missing.txt" "${with_vocab[@]}" missing.txt --output refused
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
refused 2 "--corups did you mean --corpus?" bert_pretrain --corups mine.txt --output refused
refused 2 "--output needs a value" "${pretrain[@]}" --output --overwrite
refused 2 "--vocab --vocab-size" "${pretrain[@]}" --vocab vocab.txt --output refused
refused 2 "--vocab --alphabet" bert_pretrain --vocab vocab.txt --alphabet 10 --output refused
refused 2 "--alphabet" "${pretrain[@]}" --alphabet 0 --output refused
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
  -e metrics.jsonl -e report.html -e bertie_training.json -e checkpoints) ]] ||
  wrong "unexpected files in the model's folder: $(ls -A model)"
before=$(cat model/*.* | cksum)
refused 1 "model already config.json --overwrite" "${pretrain[@]}" --steps 1 --output model
[[ $(cat model/*.* | cksum) == "$before" ]] || wrong "a model was changed without --overwrite"
expect 0 "${pretrain[@]}" --steps 2 --output model --overwrite
[[ $(cat model/*.* | cksum) != "$before" ]] || wrong "--overwrite should replace the model"
[[ $(grep -c '^{"kind":"evaluation","step":' model/metrics.jsonl) -eq 3 && ! -e model/unfinished-metrics.jsonl &&
  $(grep -c '^{"kind":"training","step":' model/metrics.jsonl) -eq 2 ]] || wrong "metrics.jsonl"
grep --quiet "Finished: step 2 of 2" model/report.html && ! ls model/unfinished-* model/tensorboard 2>/dev/null || wrong "report.html"
expect 0 "${pretrain[@]}" --steps 2 --output model --overwrite --tensorboard
[[ $(ls model/tensorboard | grep -c '^events.out.tfevents.[0-9]*\.') -eq 1 ]] || wrong "--tensorboard should write an event file"
rm -r model/tensorboard
loads model

# --- bert_pretrain: what it says of texts and settings that make little sense, and why nothing can be scored
expect 0 "${pretrain[@]}" --steps 2e0 --output notes
! grep --quiet -e "longer than the run" -e "a whole pass" -e "is given twice" -e "is \[UNK\]" err || wrong "notes without a reason"
grep --quiet -x "\[UNK\]: 0.00 % of the tokens to train on, 0.00 % of those held out" err || wrong "the share of [UNK] is missing"
grep --quiet "^Note: 1 of 1 held-out lines stand in the training text" err || wrong "a held-out line that is known should be told"
timeout 60 bert_pretrain --corpus - ./corpus.txt corpus.txt --preset tiny --steps 2 --warmup 3 --output notes --overwrite \
  <corpus.txt >out 2>err || wrong "--corpus - ended with status $?"
[[ $(grep -c "given twice" err) -eq 1 ]] && grep --quiet "^Note: corpus.txt is given twice" err || wrong "a file that is given twice"
grep --quiet "warm-up of 3 steps is longer than the run" err || wrong "a warm-up that is longer than the run"
grep --quiet "^Note: a pass over the text has only [0-9]* tokens, so each step is a whole pass" err || wrong "a batch of several passes"
# 199 ideographs on 597 lines; every 20th line is held out, and no character twice. So 170 of them are there three times
# to train on, and of the other 29 the first 10 find room in an alphabet of 180: 2 · 19 of 568 are unknown, and 19 of 29.
LC_ALL=C awk 'BEGIN { for (i = 0; i < 597; ++i) printf "%c%c%c\n", 228, 184 + int(i % 199 / 64), 128 + i % 199 % 64 }' >characters.txt
characters=(bert_pretrain --corpus characters.txt --preset tiny --batch-tokens 64 --steps 1 --output characters)
expect 0 "${characters[@]}" --alphabet 180
grep --quiet "^\[UNK\]: 6.69 % of the tokens to train on, 65.52 % of those held out" err || wrong "the shares of [UNK]"
grep --quiet "^Note: 6.7 % of the text to train on is \[UNK\].*--alphabet" err || wrong "a share of 7 % should be noted"
grep --quiet "^Note: 65.5 % of the held-out text is \[UNK\].*--alphabet" err || wrong "a share of 66 % should be noted"
expect 0 "${characters[@]}" --overwrite
grep --quiet "^\[UNK\]: 0.00 %" err && ! grep --quiet "is \[UNK\]" err || wrong "the default alphabet holds 199 characters"
printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' zebra >zebra.txt
refused 1 "[corpus] nothing text train [UNK]" "${with_vocab[@]}" zebra.txt --output refused
echo "no such word ." >other.txt
printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' the cat sat on mat >known.txt
refused 1 "[held-out] nothing held-out 4 are [UNK]" "${with_vocab[@]}" known.txt --held-out other.txt --output refused

# --- brackets are part of a word or a name
cp corpus.txt '[draft]'
cp corpus.txt '[a,b]'
expect 0 bert_pretrain --corpus '[draft]' '[a,b]' --corpus corpus.txt --unscored '[UNK]' cat --preset tiny --vocab-size 100 \
  --steps 1 --output brackets
grep --quiet "^Text: 108 lines" err || wrong "three files should have 108 lines"
refused 1 "[unscored] '[zebra]'" "${pretrain[@]}" --unscored cat '[zebra]' --output refused

# --- text in folders, compressed and as JSON lines, whose tokens are used again
mkdir -p texts/more
cp corpus.txt texts
gzip -c corpus.txt >texts/more/b.gz
printf '{"text": "the cat sat .\\nthe dog ran ."}\n' >texts/c.jsonl
texts=(bert_pretrain --corpus texts --preset tiny --batch-tokens 64 --vocab-size 100 --steps 1 --cache cache)
expect 0 "${texts[@]}" --output texts-model
grep --quiet "^Text: 74 lines in 3 documents" err || wrong "a folder of three files"
cp texts-model/model.safetensors before
stamp=$(stat --format %y cache/*/manifest.json)
expect 0 "${texts[@]}" --output texts-model --overwrite
[[ $(stat --format %y cache/*/manifest.json) == "$stamp" ]] || wrong "the tokens should be used again"
cmp before texts-model/model.safetensors || wrong "tokens that are used again should train the same model"
expect 0 "${texts[@]}" --output texts-model --overwrite --documents lines
grep --quiet "^Text: 74 lines in 73 documents" err || wrong "each line should be a document, and each object"
[[ $(ls cache | wc -l) -eq 2 ]] || wrong "there should be two stores of tokens"
truncate --size -4 cache/*/training.ids
expect 0 "${texts[@]}" --output texts-model --overwrite
grep --quiet "^Note: .*training.ids.*tokenized again" err || wrong "a damaged store should be told"
cmp before texts-model/model.safetensors || wrong "a store that is made anew should train the same model"
expect 0 wordpiece train --input 'texts/*' --size 100 --output folder-vocab.txt
grep --quiet "from 74 lines" err || wrong "a pattern should stand for its files"
echo '{"txt": "a"}' >>texts/c.jsonl
refused 1 "line 2 texts/c.jsonl 'text'" "${texts[@]}" --output refused
head --bytes 60 texts/more/b.gz >broken.gz
refused 1 "broken.gz breaks off" "${pretrain[@]}" --corpus broken.gz --output refused
refused 1 "pattern nothing*" "${texts[@]:0:1}" --corpus 'nothing*' --output refused
refused 2 "--documents" "${pretrain[@]}" --documents paragraphs --output refused

# --- the default text: the report at the end knows the best possible score; left out under the sanitizers, being long
expect 0 bert_pretrain --write-corpus text.txt
[[ $(cat out) == text.txt && $(wc -l <text.txt) -gt 10000 ]] || wrong "--write-corpus should write the default text"
refused 2 "--write-corpus --corpus" bert_pretrain --write-corpus text.txt --corpus corpus.txt
refused 2 "--write-corpus --steps" bert_pretrain --write-corpus text.txt --steps 5
refused 1 "missing/text.txt" bert_pretrain --write-corpus missing/text.txt
if ! sanitized; then
  limit=240 expect 0 bert_pretrain --preset tiny --batch-tokens 64 --steps 1 --output language --threads 2
  for row in "all " "number far" "sense far"; do
    [[ $(grep -c -E "^$row( +[0-9.]+){11}$" err) -eq 1 ]] || wrong "bert_pretrain should print a row '$row'"
  done
  tail -n 1 language/metrics.jsonl | grep --quiet '"language":{"all":{"positions":' || wrong "metrics.jsonl lacks language"
  for other in "--vocab-size 300" "--cased" "--held-out corpus.txt" "--unscored king" "--max-length 60"; do
    # shellcheck disable=SC2086
    expect 0 bert_pretrain --preset tiny --batch-tokens 64 --steps 1 $other --output other --overwrite --threads 2
    grep --quiet "best possible score" err || wrong "with $other the best possible score should be said to be unknown"
    ! grep --quiet "^number far" err || wrong "with $other a bound was printed that doesn't hold"
  done
fi

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
for program in next_word wordpiece "wordpiece train" "wordpiece encode" "wordpiece decode" bert_pretrain bert_fill_mask \
               bert_embed mlm_step; do
  # shellcheck disable=SC2086
  expect 0 $program --help
  ! grep --quiet -E '.{81}|[0-9]{10}' out || wrong "'$program --help' should fit 80 columns and have no long numbers"
  grep --quiet "^Usage: $program" out || wrong "'$program --help' should print its usage"
  $program --help >/dev/full 2>err
  [[ $? -eq 1 ]] && grep --quiet "^${program%% *}: \[output\] " err || wrong "'$program --help >/dev/full'"
done

# --- a reader that goes, as `| head` does: other tools end by SIGPIPE, too, and say nothing
for command in "next_word" "next_word --help" "bert_fill_mask --model model --text the_[MASK]"; do
  mkfifo gone
  exec 8<>gone   # so that both ends can be opened
  # shellcheck disable=SC2086
  (exec 9>gone 8>&-; sleep 0.5; exec timeout 60 $command >&9 2>err </dev/null) &
  running=$!
  sleep 0.2
  exec 8>&-      # the only reader
  ends 141
  [[ ! -s err ]] || wrong "'$command' should say nothing where its reader is gone"
  rm gone
done

# --- the progress line on a terminal is never wider than that
if script --quiet --return --command true typescript >/dev/null 2>&1 </dev/null; then  # there are pseudo-terminals
  for columns in 40 80; do
    # shellcheck disable=SC2016
    timeout 120 script --quiet --return --command "stty cols $columns; COLUMNS=200 bert_pretrain --corpus corpus.txt \
      --preset tiny --batch-tokens 64 --vocab-size 100 --steps 400 --output terminal --overwrite" typescript >out 2>err </dev/null ||
      wrong "bert_pretrain on a terminal ended with status $?"
    # What follows a return that clears the line, without other messages.
    grep -a -o $'\r\033\\[K[^\r\033]*' typescript | cut -c 5- | grep -E '^(\[[#.]|Evaluating|[0-9]+% )' >lines
    grep --quiet -E "^(\[[#.]+\]  )?[0-9]+% .* left +loss [0-9.]+ [0-9]+%" lines || wrong "no progress line on a terminal of $columns columns"
    ! grep --quiet -E ".{$columns}" lines || wrong "a progress line is wider than $columns columns"
  done
fi

# --- scripts/pretrain.sh tells its options, and that one is mistyped, before it installs or builds
bert_pretrain --help | cmp - "$root/docs/bert_pretrain.txt" ||
  wrong "docs/bert_pretrain.txt should be made anew: bert_pretrain --help >docs/bert_pretrain.txt"
mkdir stubs
for name in cmake dpkg-query apt-get; do
  printf '#!/bin/sh\necho called >>"%s/called"\nexit 1\n' "$work" >stubs/$name
  chmod +x stubs/$name
done
for option in --help -h; do
  PATH="$work/stubs:$PATH" expect 0 "$root/scripts/pretrain.sh" --steps 3 $option
  grep --quiet "scripts/pretrain.sh --corpus mine.txt" out && grep --quiet -e "--alphabet N" out || wrong "pretrain.sh $option"
done
for option in --corups -corpus --step=3 --overwrit; do
  PATH="$work/stubs:$PATH" expect 2 "$root/scripts/pretrain.sh" --seed 1 $option x
  [[ $(cat err) == "pretrain: there is no option ${option%%=*} (--help lists them)" ]] || wrong "pretrain.sh $option"
done
[[ ! -e called ]] || wrong "pretrain.sh should look at its options before it installs or builds"
while read -r option; do  # every option of the program passes, up to the point where something is installed
  PATH="$work/stubs:$PATH" timeout 60 "$root/scripts/pretrain.sh" "$option" -1 >out 2>err </dev/null
  ! grep --quiet "there is no option" err || wrong "pretrain.sh should know $option"
done < <(bert_pretrain --help | grep -o -E '^  --[a-z-]+')

version=$(sed -n 's/^CMAKE_PROJECT_VERSION:STATIC=//p' "$build/CMakeCache.txt")
for program in next_word wordpiece bert_pretrain bert_fill_mask bert_embed mlm_step; do
  expect 0 $program --version
  [[ $(cat out) == "$program (bertie) $version" && $version == [0-9]*.[0-9]*.[0-9]* ]] || wrong "version: $(cat out)"
done

# --- threads that wait rest, unless the user wants them otherwise; libgomp prints its settings whenever it is loaded
# (OPENBLAS_NUM_THREADS, which is always set, has a program start anew, too, and OPENBLAS_CORETYPE where OpenBLAS doesn't
# know the CPU)
unset OMP_WAIT_POLICY GOMP_SPINCOUNT
export OPENBLAS_NUM_THREADS=1 OPENBLAS_CORETYPE=Nehalem
spins() { grep GOMP_SPINCOUNT err | tail -n 1 | grep --only-matching '[0-9]*'; }
OMP_DISPLAY_ENV=verbose expect 0 wordpiece --version
[[ $(spins) == 2000 && $(grep -c GOMP_SPINCOUNT err) -eq 2 ]] || wrong "wordpiece's threads spin $(spins) times"
GOMP_SPINCOUNT=7 OMP_DISPLAY_ENV=verbose expect 0 wordpiece --version
[[ $(spins) == 7 && $(grep -c GOMP_SPINCOUNT err) -eq 1 ]] || wrong "the user's GOMP_SPINCOUNT=7 became $(spins)"
OMP_WAIT_POLICY=active OMP_DISPLAY_ENV=verbose expect 0 wordpiece --version
[[ $(spins) -gt 300000 && $(grep -c GOMP_SPINCOUNT err) -eq 1 ]] || wrong "the user's OMP_WAIT_POLICY=active became $(spins)"
expect 0 next_word
if grep --quiet --word-regexp avx2 /proc/cpuinfo; then
  grep --quiet "OpenBLAS doesn't know this CPU" err || wrong "slow kernels that the user chose should be told"
fi
unset OPENBLAS_NUM_THREADS
GOMP_SPINCOUNT=7 OMP_DISPLAY_ENV=verbose expect 0 wordpiece --version
[[ $(spins) == 7 && $(grep -c GOMP_SPINCOUNT err) -eq 2 ]] || wrong "OpenBLAS's threads should be declined by starting anew"
unset OPENBLAS_CORETYPE
expect 0 next_word
! grep --quiet "OpenBLAS doesn't know this CPU" err || wrong "OpenBLAS should take the kernels for the CPU"
expect 0 wordpiece --help
cp out first
OMP_WAIT_POLICY=passive expect 0 wordpiece --help
cmp --silent out first || wrong "wordpiece --help prints something else where it starts anew"
"${pretrain[@]}" --output renamed --steps 100000 >out 2>err </dev/null &
running=$!
for ((i = 0; i < 600; ++i)); do grep --quiet "after step 0" err || { sleep 0.1; continue; }; break; done
[[ $(<"/proc/$running/comm") == bert_pretrain ]] || wrong "bert_pretrain became $(<"/proc/$running/comm")"
kill -KILL "$running"
wait "$running" 2>/dev/null
running=

report
