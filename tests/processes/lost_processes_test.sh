#!/usr/bin/env bash
# What a run's processes do where one of them is lost, from the outside: all end in a bounded time, with a failure and a
# line that says why, and none is left.
#   tests/processes/lost_processes_test.sh test_processes mpiexec
set -euo pipefail
program=$1 launcher=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

wrong() { echo "FAILED: $*"; cat "$work/log"; exit 1; }
# Its status where it ends within the time, of which most is the launcher's own.
runs_three() {
  local status=0
  timeout --kill-after=5 60 "$launcher" -n 3 "$program" "$1" >"$work/log" 2>&1 </dev/null || status=$?
  [[ $status -ne 124 && $status -ne 137 ]] || wrong "$1: it never ends"
  [[ $status -ne 0 ]] || wrong "$1: a run that lost a process succeeds"
  for _ in {1..50}; do
    pgrep --full --exact "$program $1" >/dev/null || return 0
    sleep 0.1
  done
  wrong "$1: a process is left"
}

runs_three --last-stops
grep -q "^\[processes\] process [12] of 3 on .* has waited 5 s for the others: one has died" "$work/log" || wrong "no word"

start=$SECONDS
runs_three --last-ends-all
! grep -q "has waited" "$work/log" || wrong "the others wait for one that has ended all"
[[ $((SECONDS - start)) -lt 30 ]] || wrong "ending all takes too long"

for works in --last-works --first-works; do
  "$launcher" -n 2 "$program" "$works" >"$work/log" 2>&1 </dev/null || wrong "$works: work counts as waiting for others"
done

# A launcher of another MPI, which this one doesn't know, as if it had started three.
for variables in "PMI_RANK=0 PMI_SIZE=3" "OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=3"; do
  if env $variables timeout 60 "$program" >"$work/log" 2>&1 </dev/null; then wrong "$variables: it succeeds"; fi
  ! grep -q "launcher started 3 processes, MPI sees 1: the launcher is of another MPI than" "$work/log" || { echo "all passed"; exit 0; }
done
wrong "no word of another launcher"
