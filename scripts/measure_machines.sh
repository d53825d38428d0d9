#!/usr/bin/env bash
# Measures on "machines" apart, network namespaces of this one whose links are limited to 1 and 10 Gb/s, what
# simulate_scaling.sh simulates: steps of two processes of one thread, beside two such processes that know nothing of each
# other; and the recorded calls of a step among 2 and 4, with waiting in place of computing, so that sending has the cores.
# Prints a line of JSON for each. As root, on two cores with nothing else to do, in some twenty minutes.
#   scripts/simulate_scaling.sh --record
#   scripts/measure_machines.sh >measured.jsonl && scripts/simulate_scaling.sh --measured measured.jsonl
# BERTIE_BUILD names the build folder (default: build/release). ROUNDS: 3; a step's are of ten, of which five count.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/scripts/install_dependencies.sh" mpi >&2
programs=$("$root/bench/build_bench.sh")
work=$(mktemp -d)
source "$root/tests/proofs/machines_apart.sh"
machines=0
trap 'remove_machines; rm -rf "$work"' EXIT

seconds() { "$@" --json | sed -n 's/.*"seconds_per_step":\([0-9.e-]*\).*/\1/p'; }
step() { echo "$programs/train_step" --preset "$1" --sequences "$2" --threads 1; }
both_alone() {
  for _ in 1 2; do OMP_NUM_THREADS=1 seconds $(step "$@") & done | awk '{sum += $1} END {print sum / NR}'
}
row() {  # what, preset, sequences, nodes, numbers
  printf '{"what": "%s", "preset": "%s", "sequences": %d, "nodes": %d, "gigabits": %d, %s}\n' "$1" "$2" "$3" "$4" $gigabits "$5"
}
mpicxx -std=c++20 -O2 "$root/bench/play_schedule.cpp" -o "$work/play_schedule"

for gigabits in 1 10; do
  for nodes in 2 4; do
    make_machines $nodes "${gigabits}gbit" >&2
    for case in "base 8" "mini 32"; do
      read -r preset sequences <<<"$case"
      python3 "$root/bench/simulate_scaling.py" --programs "$programs" --calls "$preset" "$sequences" $nodes >"$work/calls"
      for ((round = 0; round < ${ROUNDS:-3}; ++round)); do
        row calls "$preset" "$sequences" $nodes "\"step\": $(on_machines $nodes "$work/play_schedule" "$work/calls" | tail -n 1)"
        [[ $nodes -eq 2 ]] || continue
        one=$(both_alone "$preset" "$sequences")
        two=$(seconds on_machines 2 $(step "$preset" $((2 * sequences))) --parts 2)
        row steps "$preset" "$sequences" 2 "\"one_node\": $one, \"step\": $two"
      done
    done
    remove_machines
  done
done
