#!/usr/bin/env bash
# Proves that a training on several machines comes to the bytes of one process, and that it ends everywhere where one is
# lost: four network namespaces (machines_apart.sh) train, then at random moments, in turn, a process is killed, the
# launcher is killed, and a link is cut: within the peer timeout and ten seconds everything must have ended, not with
# success, and nothing may be left running. The run resumed, on 4, 3 and 2 machines in turn, must come to the same bytes.
# So must one that got SIGTERM through mpirun, and a machine that isn't there must be told soon. As root.
#   tests/proofs/prove_machines.sh                     20 moments at 1gbit, a small pre-training on the docs' text
#   tests/proofs/prove_machines.sh 20 10gbit           so many, at this rate
#   tests/proofs/prove_machines.sh 20 1gbit COMMAND…   any training: {} in its words becomes its folder, which gets
#                                                      model.safetensors; run again, it must resume, as in
#     tests/proofs/prove_machines.sh 20 1gbit build/release/bert_pretrain --preset tiny --steps 60 --parts 4 \
#       --peer-timeout 5s --checkpoint-steps 10 --resume --output {}
# PEER_TIMEOUT is what the command has: 5.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd) || exit 2
moments=${1:-20} rate=${2:-1gbit}
shift $(($# < 2 ? $# : 2))
command=("$@")
if [[ ${#command[@]} -eq 0 ]]; then
  command=("$root/build/release/bert_pretrain" --corpus "$root"/docs/*.md --preset tiny --vocab-size 1000 --steps 60
           --parts 4 --peer-timeout 5s --threads 1 --checkpoint-steps 10 --resume --output {})
fi
command[0]=$(realpath "${command[0]}")
limit=$((${PEER_TIMEOUT:-5} + 10))  # seconds until all must have ended
RANDOM=${SEED:-1}
work=$(mktemp -d)
failures=0
source "$root/tests/proofs/machines_apart.sh"
trap 'remove_machines; rm -rf "$work"' EXIT
make_machines 4 "$rate"

words() { printf '%s\0' "${command[@]//\{\}/$1}"; }
start() {  # how many machines, folder: begins a run, whose launcher is $running
  local line
  mapfile -d '' line < <(words "$2")
  on_machines "$1" "${line[@]}" >"$work/out" 2>&1 </dev/null &
  running=$!
}
wrong() {
  echo "FAILED: $*"
  tail -n 12 "$work/out" | sed 's/^/  /'
  failures=$((failures + 1))
}
compare() {  # folder, of what
  cmp --silent "$1/model.safetensors" "$work/alone/model.safetensors" || wrong "$2: the weights are others"
}
sent() { ip netns exec "${prefix}1" cat /sys/class/net/eth0/statistics/tx_bytes; }

# The processes of the training on a machine, neither launcher nor agent.
trainers() {
  local pid
  for pid in $(ip netns pids "$prefix$1"); do
    [[ $(readlink "/proc/$pid/exe") != "${command[0]}" ]] || echo "$pid"
  done
}
wait_for_trainers() {  # of a machine, or the run's end
  while [[ -z $(trainers "$1") ]] && kill -0 "$running" 2>/dev/null; do sleep 0.05; done
}
now() { echo "${EPOCHREALTIME/./}"; }  # microseconds

mapfile -d '' line < <(words "$work/alone")
OMP_NUM_THREADS=1 "${line[@]}" >"$work/out" 2>&1 </dev/null || { cat "$work/out"; exit 1; }
before=$(sent)
start $machines "$work/whole"
wait_for_trainers 2
begin=$(now)
wait "$running" || { cat "$work/out"; exit 1; }
run=$(($(now) - begin))
compare "$work/whole" "a run on $machines machines"
echo "on $machines machines in $((run / 1000)) ms, the first sent $((($(sent) - before) / 1000000)) MB"

folder=$work/faults longest=0 kinds=("a process" "the launcher" "a link")
for ((moment = 0; moment < moments; ++moment)); do
  kind=${kinds[moment % 3]} machine=$((RANDOM % (machines - 1) + 2)) status=
  rm -rf "$folder"
  start $machines "$folder"
  wait_for_trainers "$machine"
  microseconds=$(((RANDOM * 32768 + RANDOM) % (run * 9 / 10)))
  sleep "$(printf '%d.%06d' $((microseconds / 1000000)) $((microseconds % 1000000)))"
  about="moment $moment, $kind after $((microseconds / 1000)) ms"
  since=$(now)
  case $kind in
    "a process") kill -KILL $(trainers "$machine") 2>/dev/null || about+=", which had ended" ;;
    "a link") ip -n "$prefix$machine" link set eth0 down ;;
    "the launcher")
      kill -KILL "$running" 2>/dev/null
      wait "$running" 2>/dev/null
      status=$? ;;
  esac
  while [[ -n $(everything) && $(($(now) - since)) -lt $((limit * 1000000)) ]]; do sleep 0.1; done
  took=$((($(now) - since) / 1000))
  if [[ -n $(everything) ]]; then
    wrong "$about: left after $limit s: $(everything | xargs ps -o comm= -p | sort | uniq -c | xargs)"
    end_everything
  elif [[ $took -gt $longest ]]; then
    longest=$took
  fi
  if [[ -z $status ]]; then
    wait "$running" 2>/dev/null
    status=$?
  fi
  [[ $status -ne 0 || -f $folder/model.safetensors ]] || wrong "$about: it ended with success"
  echo "$about: ended in $took ms with status $status: $(grep -m 1 -e '^\[processes' -e 'mpirun noticed' "$work/out" || tail -n 1 "$work/out")"
  ip -n "$prefix$machine" link set eth0 up
  start $((4 - moment % 3)) "$folder"
  wait "$running" || wrong "$about: the resumed run ended with status $?"
  compare "$folder" "$about, resumed on $((4 - moment % 3)) machines"
done

# mpirun passes the signal on after the first of these, and kills after the second: seconds.
rm -rf "$folder"
OMPI_MCA_odls_base_sigkill_timeout=3 start $machines "$folder"
wait_for_trainers 2
sleep 1
kill -TERM "$running"
wait "$running" && wrong "SIGTERM to mpirun: it ended with success"
end_everything
grep --quiet "^The training ended at step" "$work/out" || wrong "SIGTERM to mpirun: nothing was saved"
echo "SIGTERM to mpirun: $(grep -m 1 "^The training ended at step" "$work/out")"
start 3 "$folder"
wait "$running" || wrong "SIGTERM to mpirun: the resumed run ended with status $?"
compare "$folder" "after SIGTERM to mpirun, resumed on 3 machines"

for absent in "that nobody has" "whose link is cut"; do
  if [[ $absent == "that nobody has" ]]; then
    sed -i "s/^10.77.0.$machines /10.77.0.99 /" "$work/hosts"
  else
    sed -i "s/^10.77.0.99 /10.77.0.$machines /" "$work/hosts"
    ip -n "$prefix$machines" link set eth0 down
  fi
  rm -rf "$folder"
  since=$(now)
  start $machines "$folder"
  while kill -0 "$running" 2>/dev/null && [[ $(($(now) - since)) -lt 120000000 ]]; do sleep 0.1; done
  kill -0 "$running" 2>/dev/null && wrong "an address $absent: still there after two minutes"
  end_everything
  wait "$running" && wrong "an address $absent: it ended with success"
  echo "an address $absent: ended in $((($(now) - since) / 1000)) ms: $(grep -m 1 -i -e unable -e lost "$work/out")"
done

[[ $failures -eq 0 ]] || { echo "$failures failed"; exit 1; }
echo "all passed: $moments moments, the longest end took $longest ms"
