#!/usr/bin/env bash
# The program wordpiece from the outside: what it prints, with good and bad input; exit status, pipes, signals.
#   tests/apps/wordpiece_program_test.sh build/release
source "$(dirname "${BASH_SOURCE[0]}")/program_checks.sh"
trap 'exec 9>&-; rm -rf "$work"' EXIT

# prints "OUTPUT" ARGUMENTS…: of wordpiece, which succeeds and says nothing else.
prints() {
  local expected=$1
  shift
  timeout 60 wordpiece "$@" >out 2>err </dev/null || wrong "'$*' ended with status $?"
  [[ $(cat out; echo .) == "$expected"$'\n'. ]] || wrong "'$*' printed '$(head -c 300 out)', not '$expected'"
  [[ ! -s err ]] || wrong "'$*' wrote to standard error"
}

# refused STATUS "WORD…" ARGUMENTS…: one line that begins with the program's name and has the words. Lines before a bad one
# may have been answered.
refused() {
  local status=$1 words=$2 word came
  shift 2
  timeout 60 wordpiece "$@" >out 2>err </dev/null
  came=$?
  [[ $came -eq $status ]] || wrong "'$*' ended with status $came, not $status"
  [[ $(wc -l <err) -eq 1 && $(cat err) == "wordpiece: "* ]] || wrong "'$*' should say one line"
  for word in $words; do grep --quiet --fixed-strings -e "$word" err || wrong "'$*' should say '$word'"; done
}

# --- encode
printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' i love play '##ing' soccer . café cafe mask '[' ']' I Love >vocab.txt
v=(--vocab vocab.txt)
prints "5 6 7 8 4 10" encode "${v[@]}" --text "I love playing [MASK]." --no-special-tokens
prints "2 5 6 7 8 4 10 3" encode "${v[@]}" --text "I love playing [MASK]."
prints "5 6 7 8 14 13 15 10" encode "${v[@]}" --text "I love playing [MASK]." --no-special-tokens --split-special-tokens
prints '{"tokens":["play","##ing","[MASK]","."],"ids":[7,8,4,10],"offsets":[[0,4],[4,7],[8,14],[14,15]],'\
'"mask":[false,false,true,false],"labels":[7,8,9,10]}' \
  encode "${v[@]}" --text "playing soccer." --mask 2 --no-special-tokens --json
prints "12" encode "${v[@]}" --text "CAFÉ" --no-special-tokens
prints "16 17 11 1" encode "${v[@]}" --text "I Love café Café" --no-special-tokens --cased
prints "2 5 6 3" encode "${v[@]}" --text $'i\tlove'
prints "2 5 3 6 3" encode "${v[@]}" --text $'i\tlove' --pairs
prints "2 5 6 3" encode "${v[@]}" --text "i love" --pairs
prints '{"tokens":["[CLS]","i","[SEP]","[MASK]","[SEP]"],"ids":[2,5,3,4,3],"offsets":[[0,0],[0,1],[0,0],[1,5],[0,0]],'\
'"mask":[false,false,false,true,false],"labels":[2,5,3,6,3],"token_type_ids":[0,0,0,1,1]}' \
  encode "${v[@]}" --text $'i\t love' --pairs --json --mask 3
prints "" encode "${v[@]}" --text "" --no-special-tokens

printf 'i love\n\n  \nplaying\r\ni \xe2\x80\xa8 love\n.' >lines.txt
prints $'5 6\n\n\n7 8\n5 6\n10' encode "${v[@]}" --input lines.txt --no-special-tokens
prints $'2 5 6 3\n2 3\n2 3\n2 7 8 3\n2 5 6 3\n2 10 3' encode "${v[@]}" --input lines.txt --threads 1
: >empty.txt
timeout 60 wordpiece encode "${v[@]}" --input empty.txt >out 2>err || wrong "an empty file is no error"
[[ ! -s out && ! -s err ]] || wrong "an empty file has no lines"

printf 'i\nlo\xffve i\n\xc3\n' >invalid.txt
timeout 60 wordpiece encode "${v[@]}" --input invalid.txt --no-special-tokens >out 2>err || wrong "invalid UTF-8 is no error"
[[ $(cat out) == $'5\n6 5' && $(wc -l <out) -eq 3 ]] || wrong "invalid UTF-8 gave $(cat out)"
[[ $(wc -l <err) -eq 1 ]] && grep --quiet "line 2 of 'invalid.txt'" err || wrong "invalid UTF-8 should be said once"

# Of a line without an end no more is kept than may be in one; text to train on has it in parts, and words without an end
# aren't counted.
{ echo "i love"; head --bytes 20000000 /dev/zero | tr '\0' a; echo " playing i playing i"; } >endless.txt
refused 1 "line 2 'endless.txt' 16777216 bytes" encode "${v[@]}" --input endless.txt
[[ $(cat out) == "2 5 6 3" ]] || wrong "the line before an endless one should be answered"
timeout 60 wordpiece train --input endless.txt --size 30 --output endless-vocab.txt 2>err || wrong "an endless line should train"
grep --quiet "from 3 lines with 3 distinct words" err || wrong "of an endless line's words three should be counted"

# The same lines in the same order on any number of threads, over more than one block of input.
for ((i = 0; i < 30000; ++i)); do echo "$i i love playing soccer . café [MASK] $((i * i))"; done >many.txt
for threads in 1 2 5; do
  timeout 60 wordpiece encode "${v[@]}" --input many.txt --json --threads $threads >out.$threads 2>err || wrong "$threads threads"
done
cmp out.1 out.2 && cmp out.1 out.5 || wrong "the output depends on the number of threads"
[[ $(wc -l <out.1) -eq 30000 ]] || wrong "30000 lines gave $(wc -l <out.1)"

for source in "cat lines.txt |" "exec <lines.txt;"; do  # standard input goes on where it is
  [[ $(eval "$source { read -r first; wordpiece encode --vocab vocab.txt --no-special-tokens --input -; }") == \
     $'\n\n7 8\n5 6\n10' ]] || wrong "'$source' as standard input"
done

# --- decode
prints "i love playing [MASK]." decode "${v[@]}" --ids "5 6 7 8 4 10"
prints "i love playing." decode "${v[@]}" --ids "2 5 6 7 8 4 10 3" --no-special-tokens
timeout 60 wordpiece encode "${v[@]}" --input lines.txt >ids.txt
prints $'[CLS] i love [SEP]\n[CLS] [SEP]\n[CLS] [SEP]\n[CLS] playing [SEP]\n[CLS] i love [SEP]\n[CLS]. [SEP]' \
  decode "${v[@]}" --input ids.txt
printf '5\n6 x\n' >bad.txt
refused 1 "ids line 2 'bad.txt' 'x'" decode "${v[@]}" --input bad.txt
[[ $(cat out) == i ]] || wrong "the lines before a bad one are decoded"
refused 1 "ids 0 17 '18'" decode "${v[@]}" --ids 18
refused 1 "'-1'" decode "${v[@]}" --ids "5 -1"
refused 1 "'99999999999'" decode "${v[@]}" --ids 99999999999
refused 1 "'5,'" decode "${v[@]}" --ids "5, 6"

# --- a model's directory
mkdir model
cp vocab.txt model
prints "5 6" encode --model model --text "I LOVE" --no-special-tokens
echo '{"do_lower_case": false}' >model/tokenizer_config.json
prints "16 17" encode --model model --text "I Love" --no-special-tokens
prints "I Love" decode --model model --ids "16 17"
echo '{"additional_special_tokens": ["<e>"]}' >model/tokenizer_config.json
prints "5 18" encode --model model --text "i<e>" --no-special-tokens  # added behind the vocabulary
refused 1 "none/vocab.txt" encode --model none --text i

# --- train
printf '%s\n' "low lower lowest" "new newer newest" "wide wider widest" >a.txt
printf 'Slow slower slowest\nlow \xff new' >b.txt
for threads in 1 2 5; do
  timeout 60 wordpiece train --input a.txt b.txt --size 60 --output trained.$threads --threads $threads >out 2>err ||
    wrong "train on $threads threads ended with status $?"
done
[[ ! -s out ]] || wrong "train writes nothing to standard output"
grep --quiet "1 invalid UTF-8 .*b.txt, line 2" err || wrong "train should say what it replaced"
cmp trained.1 trained.2 && cmp trained.1 trained.5 || wrong "the vocabulary depends on the number of threads"
grep --quiet --line-regexp low trained.1 || wrong "low should be an entry"
! grep --quiet --line-regexp S trained.1 || wrong "text is lower-cased"
timeout 60 wordpiece train --input b.txt --size 60 --output cased.txt --cased 2>err || wrong "train --cased"
grep --quiet --line-regexp S cased.txt || wrong "--cased keeps upper case"
timeout 60 wordpiece encode --vocab trained.1 --input a.txt >out 2>err || wrong "a trained vocabulary should serve"
cp a.txt '[draft]'
timeout 60 wordpiece train --input '[draft]' b.txt --size 60 --output brackets.txt 2>err || wrong "train on a file in brackets"
cmp trained.1 brackets.txt || wrong "a file in brackets should be read like another"
grep --quiet "; \[UNK\]: 0.00 % of the tokens$" err || wrong "train should tell the share of [UNK]"
timeout 60 wordpiece train --input - b.txt a.txt --size 60 --alphabet 3 --output alphabet.txt 2>err <a.txt || wrong "--alphabet"
[[ $(grep -c -x . alphabet.txt) -eq 3 ]] || wrong "--alphabet 3 should leave three characters"
grep --quiet "^Note: .* % of the text is \[UNK\].*--alphabet" err || wrong "much [UNK] should be noted"
timeout 60 wordpiece train --input - b.txt --size 60 --output stdin.txt 2>err <a.txt || wrong "train from standard input"
cmp trained.1 stdin.txt || wrong "standard input should be read as a file is"
refused 2 "--alphabet" train --input a.txt --output refused.txt --alphabet 0
refused 2 "there is no option --inptu, did you mean --input?" train --inptu a.txt
refused 1 "size 5" train --input a.txt --size 5 --output refused.txt
refused 1 "empty.txt" train --input empty.txt --output refused.txt
refused 1 "missing.txt" train --input a.txt missing.txt --output refused.txt
refused 1 "nowhere/vocab.txt" train --input a.txt --output nowhere/vocab.txt
refused 2 "--size" train --input a.txt --output refused.txt --size 0
refused 2 "--input" train --output refused.txt
[[ ! -e refused.txt ]] || wrong "a refused training left a file"

# --- wrong usage and bad input
refused 2 "subcommand"
refused 2 "there is no command encod, did you mean encode?" encod --vocab vocab.txt
refused 2 "there is no command" ""
refused 2 "--vocab --model" encode --text x
refused 2 "--vocab --model" encode "${v[@]}" --model model --text x
refused 2 "--text --input" encode "${v[@]}"
refused 2 "--text --input" encode "${v[@]}" --text x --input lines.txt
refused 2 "--cased --model" encode --model model --cased --text x
refused 2 "--mask" encode "${v[@]}" --text x --mask -1
refused 2 "--input: needs a name" encode "${v[@]}" --input ""
refused 2 "--vocab: needs a name" encode --vocab "" --text x
refused 2 "--model: needs a name" decode --model "" --ids 1
refused 2 "--input: needs a name" train --input "" --output refused.txt
refused 2 "--output: needs a name" train --input a.txt --output ""
refused 2 "--threads" encode "${v[@]}" --text x --threads 0
refused 1 "mask 3 the text" encode "${v[@]}" --text i --mask 3
refused 1 "mask line 2 'lines.txt' 2" encode "${v[@]}" --input lines.txt --mask 2
[[ $(cat out) == "2 5 4 3" ]] || wrong "the lines before a bad one are encoded"
refused 1 "tab 2 tabs" encode "${v[@]}" --text $'a\tb\tc' --pairs
refused 1 "missing.txt" encode "${v[@]}" --input missing.txt
refused 1 "directory" encode "${v[@]}" --input .
refused 1 "missing.txt" encode --vocab missing.txt --text x
cat vocab.txt vocab.txt >twice.txt
prints "23 24" encode --vocab twice.txt --text "i love" --no-special-tokens  # as transformers: the later line counts
grep --invert-match MASK vocab.txt >unmasked.txt
refused 1 "unmasked.txt [MASK]" encode --vocab unmasked.txt --text x
head -c 100000 /dev/urandom >random.txt
refused 1 "random.txt" encode --vocab random.txt --text x
sed 's/$/\r/' vocab.txt >crlf.txt
prints "5 6" encode --vocab crlf.txt --text "i love" --no-special-tokens
timeout 60 wordpiece encode "${v[@]}" --input many.txt >/dev/full 2>err && wrong "a full disk should be told"
grep --quiet "^wordpiece: .*output" err || wrong "a full disk should be told as the output's"
timeout 60 wordpiece encode "${v[@]}" --input many.txt 2>err | head -n 1 >out
came=("${PIPESTATUS[@]}")
[[ $(wc -l <out) -eq 1 ]] || wrong "a reader that closes its pipe gets its lines"
[[ ${came[0]} -eq 141 && ! -s err ]] || wrong "a reader that closes its pipe ends the program quietly, with 141, not ${came[0]}"

# --- a pipe: each line is answered when it comes; Ctrl-C ends the program while it waits
mkfifo pipe
wordpiece encode "${v[@]}" --input pipe --no-special-tokens >out 2>err &
program=$!
exec 9>pipe
for text in "i love" "playing"; do
  echo "$text" >&9
  lines=$((${lines:-0} + 1))
  for ((i = 0; i < 100; ++i)); do [[ $(wc -l <out) -ge $lines ]] && break; sleep 0.1; done
done
[[ $(cat out) == $'5 6\n7 8' ]] || wrong "lines from a pipe should be answered at once, got '$(cat out)'"
kill -INT $program
wait $program
[[ $? -eq 130 ]] || wrong "Ctrl-C should end with status 130"

report
