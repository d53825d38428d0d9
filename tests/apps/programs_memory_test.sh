#!/usr/bin/env bash
# Memory as programs tell of it: a limit that is kept, and taken up by a resumed run; limits of the system that are too
# small for any program, and what one line says of them.
#   tests/apps/programs_memory_test.sh build/release
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd) || exit 2
source "$root/tests/apps/program_checks.sh"
limit=120
# What the sanitizer holds back of freed memory would count as the program's own share, and differ by tens of megabytes
# from run to run.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}quarantine_size_mb=4:thread_local_quarantine_size_kb=64"

for ((line = 0; line < 1200; ++line)); do
  words=(the cat dog bird sat ran flew on under mat tree house and saw a red blue)
  for ((word = 0; word < 5 + line % 23; ++word)); do printf '%s ' "${words[(line * 7 + word * (3 + line % 5)) % 17]}"; done
  echo .
done >corpus.txt
run=(bert_pretrain --corpus corpus.txt --documents lines --preset tiny --vocab-size 100 --batch-tokens 8000 --steps 6
  --checkpoint-steps 3 --evaluate-steps 100 --cache cache --threads 2)
in_megabytes() { awk '{ for (i = 1; i < NF; i += 2) printf "%d ", ($(i + 1) == "GB" ? 1000 : 1) * $i }'; }
size='([0-9.]+ [GM]B)'
predicted() { sed -n -E "s/^Memory: .*resident about $size.*/\1/p" err | in_megabytes; }
measured() { sed -n -E "s/^Memory at the peak: .*, $size resident$/\1/p" err | in_megabytes; }

# --- what a run says beforehand; a limit is kept, by parts, with the same result to rounding
expect 0 "${run[@]}" --output whole
whole=$(predicted)
[[ $whole -gt 0 && $(measured) -gt 0 ]] || wrong "memory should be told before and after: $(cat err)"
grep --quiet 'Resident, about' whole/report.html || wrong "the report should have the memory"
# Half way between the whole and two parts: the program's own share differs from run to run.
expect 0 "${run[@]}" --output two --parts 2
((kept = (whole + $(predicted)) / 2))
expect 0 "${run[@]}" --output parts --memory-limit ${kept}M
needs=$(predicted)
[[ $needs -le $kept ]] || wrong "a limit of $kept MB became $needs"
sanitized || [[ $(measured) -le $kept ]] || wrong "$kept MB weren't kept: $(measured)"
parts=$(sed -n -E 's/^Memory: .*; each step in ([0-9]+) parts of up to [0-9]+ tokens$/\1/p' err)
[[ $parts -gt 1 ]] || wrong "the parts should be told: $(cat err)"
loss() { tail -n 1 "$1/metrics.jsonl" | sed -E 's/.*"held_out":\{"loss":([0-9.]+).*/\1/'; }
awk -v a="$(loss whole)" -v b="$(loss parts)" 'BEGIN { d = a - b; exit !(a > 0 && d < 1e-3 && d > -1e-3) }' ||
  wrong "parts should give the whole batch's result: $(loss whole), $(loss parts)"

# --- the same parts by their number; one that doesn't fit
expect 0 "${run[@]}" --output given --parts "$parts" --memory-limit ${kept}M
cmp --silent parts/model.safetensors given/model.safetensors || wrong "the same parts should give the same model"
refused 1 "[memory-limit] isn't enough --parts $parts fits" "${run[@]}" --output refused --parts 1 --memory-limit ${kept}M

# --- the number is in the checkpoint: a run goes on with it, whatever limit is given then, or none
mkdir -p resumed/checkpoints
cp parts/checkpoints/step-000000003.safetensors resumed/checkpoints
expect 0 "${run[@]}" --output resumed --resume
grep --quiet "^Continuing after step 3" err || wrong "it should continue"
cmp --silent parts/model.safetensors resumed/model.safetensors || wrong "a resumed run should have the parts of its beginning"
rm -rf other
mkdir -p other/checkpoints
cp parts/checkpoints/step-000000003.safetensors other/checkpoints
expect 0 "${run[@]}" --output other --resume --memory-limit 4G
cmp --silent parts/model.safetensors other/model.safetensors || wrong "another limit should not change the parts"
rm -rf other
mkdir -p other/checkpoints
cp parts/checkpoints/step-000000003.safetensors other/checkpoints
expect 1 "${run[@]}" --output other --resume --memory-limit $((needs - 20))M
grep --quiet "memory-limit.* isn't enough.* the parts of the run that is continued, $parts, can't change" err ||
  wrong "a smaller limit should be refused"
expect 1 "${run[@]}" --output other --resume --parts $((parts + 1))
grep --quiet "parts: $parts there, $((parts + 1)) here" err || wrong "another number of parts should be refused by name"

# --- what can't be
refused 2 "--parts 0" "${run[@]}" --output refused --parts 0
refused 1 "[memory-limit] takes 20 MB" "${run[@]}" --output refused --memory-limit 20M
refused 2 "8X is not a whole number" "${run[@]}" --output refused --memory-limit 8X
expect 1 bert_pretrain --preset base --corpus corpus.txt --memory-limit 1G --output refused
grep --quiet "with weights, gradients and moments alone; --memory-limit leaves room for 1.00 GB" err ||
  wrong "what can't be should be told before the text is read"

# --- limits of addresses that are too small: every program ends, with a line that says so, or does its work
if sanitized; then
  echo "skipped: the sanitizer needs more addresses than any limit here gives"
else
  head -n 40 corpus.txt >short.txt
  for kilobytes in 150000 250000 350000 400000 450000 500000 550000 650000 800000; do
    for program in "bert_pretrain --corpus short.txt --documents lines --preset tiny --vocab-size 100 --steps 1 --batch-tokens 200 --overwrite --output tight --cache tight-cache" \
      "bert_fill_mask --model whole --text [MASK]" "bert_embed --model whole --text cat --output vectors.npy" "wordpiece train --input short.txt --size 100 --output vocab.txt" "next_word"; do
      (ulimit -v $kilobytes; exec timeout $limit $program --threads 2) >out 2>err </dev/null
      came=$?
      [[ $came -eq 0 || ($came -eq 1 && $(tail -n 1 err) == *"[memory"*) ]] ||
        wrong "'$program' with $kilobytes kB of addresses ended with status $came"
    done
  done
  (ulimit -v 250000; exec timeout $limit wordpiece train --input short.txt --output vocab.txt --threads 4) >out 2>err </dev/null
  [[ $(grep -c . err) -eq 1 && $(cat err) == *"limit of address space (ulimit -v), 256 MB, leaves room"* ]] ||
    wrong "the limit should be named: $(cat err)"
fi

report
