#!/usr/bin/env bash
# Proves that kill -9 loses nothing that was saved: kills a training at random moments, and once after each call by which
# it changes files in its folder of checkpoints (half a write, a write, flush, link, rename, removal, …), then lets it
# resume until it ends, on 1 and 2 threads in turn. The final weights must be those of the undisturbed run, byte by byte.
#   tests/proofs/prove_resume.sh                  a small classifier, 50 random moments, all calls; a few minutes
#   tests/proofs/prove_resume.sh 20               so many random moments
#   tests/proofs/prove_resume.sh 50 COMMAND…      any training: {} in its words becomes its folder, which gets
#                                                 checkpoints/ and model.safetensors; run again, it must resume, as in
#     tests/proofs/prove_resume.sh 50 build/release/bert_pretrain --preset tiny --steps 40 --checkpoint-steps 10 \
#       --resume --output {}
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd) || exit 2
build=$root/build/release
moments=${1:-50}
shift
cmake --build "$build" --target kill_at_call >/dev/null || exit 2
command=("$@")
if [[ ${#command[@]} -eq 0 ]]; then
  cmake --build "$build" --target train_classifier >/dev/null || exit 2
  command=("$build/tests/train_classifier" {})
fi
work=$(mktemp -d)
running=
trap '[[ -z $running ]] || kill -KILL "$running" 2>/dev/null; rm -rf "$work"' EXIT
export OMP_WAIT_POLICY=passive
RANDOM=${SEED:-1}
failures=0

words() { printf '%s\0' "${command[@]//\{\}/$1}"; }
start() {  # folder, threads, what to preload
  local line
  mapfile -d '' line < <(words "$1")
  OMP_NUM_THREADS=$2 LD_PRELOAD=${3:-} KILL_FOLDER=$1/checkpoints "${line[@]}" >>"$work/out" 2>&1 </dev/null
}
wrong() {
  echo "FAILED: $*"
  tail -n 5 "$work/out" | sed 's/^/  /'
  failures=$((failures + 1))
}
finish() {  # folder, threads; what happened
  start "$1" "$2" || wrong "$3: the resumed run ended with status $?"
  cmp --silent "$1/model.safetensors" "$work/whole/model.safetensors" || wrong "$3: the weights are others"
}

whole=$work/whole
begin=${EPOCHREALTIME/./}
start "$whole" 2 || { cat "$work/out"; exit 1; }
run=$((${EPOCHREALTIME/./} - begin))  # microseconds
echo "a run takes $((run / 1000)) ms"

# One run is killed again and again, so it resumes from what resumed, until it comes to its end.
folder=$work/random threads=1 kills=0 ends=0
for ((moment = 0; moment < moments; ++moment)); do
  mapfile -d '' line < <(words "$folder")
  OMP_NUM_THREADS=$threads "${line[@]}" >"$work/out" 2>&1 </dev/null &
  running=$!
  microseconds=$((run / 20 + (RANDOM * 32768 + RANDOM) % run))
  sleep "$(printf '%d.%06d' $((microseconds / 1000000)) $((microseconds % 1000000)))"
  kill -KILL "$running" 2>/dev/null
  wait "$running" 2>/dev/null
  status=$?
  running=
  threads=$((3 - threads))
  case $status in
    137) kills=$((kills + 1)) ;;
    0)
      ends=$((ends + 1))
      cmp --silent "$folder/model.safetensors" "$whole/model.safetensors" || wrong "moment $moment: the weights are others"
      rm -rf "$folder"
      ;;
    *) wrong "moment $moment: status $status" ;;
  esac
done
finish "$folder" $threads "after $kills kills"
echo "killed at $kills random moments; $((ends + 1)) runs came to their end"

# On a file system with nameless files (O_TMPFILE) and on one without.
for nameless in yes no; do
  export KILL_NAMELESS=$nameless
  rm -rf "$whole" "$work/calls"
  KILL_COUNT=$work/calls start "$whole" 2 "$build/tests/libkill_at_call.so" || { cat "$work/out"; exit 1; }
  calls=$(wc -l <"$work/calls")
  [[ $calls -gt 0 ]] || { echo "no call changed anything in $whole/checkpoints"; exit 1; }
  for ((call = 1; call <= calls; ++call)); do
    folder=$work/calls-$call threads=$((1 + call % 2))
    : >"$work/out"
    KILL_AT=$call start "$folder" $threads "$build/tests/libkill_at_call.so" 2>/dev/null
    status=$?
    name="nameless files: $nameless; $(sed -n "${call}p" "$work/calls")"
    [[ $status -eq 137 ]] || wrong "$name: the run wasn't killed, but ended with status $status"
    finish "$folder" $((3 - threads)) "$name"
    ! compgen -G "$folder/checkpoints/*.tmp-*" >/dev/null || wrong "$name: a temporary file is left"
    rm -rf "$folder"
  done
  echo "killed after each of $calls calls, nameless files: $nameless:" \
    "$(cut -d ' ' -f 2- "$work/calls" | sort | uniq -c | tr -s ' ' | paste -s -d ,)"
done
if [[ $failures -gt 0 ]]; then
  echo "$failures failed"
  exit 1
fi
echo "all passed"
