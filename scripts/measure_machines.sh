#!/usr/bin/env bash
# Measures steps of two processes of one thread on "machines" apart, two network namespaces of this one whose links are
# limited to 1 and 10 Gb/s, beside two such processes that know nothing of each other: a line of JSON for each, which
# simulate_scaling.sh compares with what it simulates for them. As root, on two cores with nothing else to do, in some ten
# minutes.
#   scripts/measure_machines.sh >measured.jsonl && scripts/simulate_scaling.sh --measured measured.jsonl
# BERTIE_BUILD names the build folder (default: build/release). ROUNDS: 3, each of ten steps of which five count.
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
for gigabits in 1 10; do
  make_machines 2 "${gigabits}gbit" >&2
  for ((round = 0; round < ${ROUNDS:-3}; ++round)); do
    for case in "base 8" "mini 32"; do
      read -r preset sequences <<<"$case"
      one=$(both_alone "$preset" "$sequences")
      two=$(seconds on_machines 2 $(step "$preset" $((2 * sequences))) --parts 2)
      printf '{"preset": "%s", "sequences": %d, "nodes": 2, "gigabits": %d, "one_node": %s, "step": %s}\n' \
        "$preset" "$sequences" $gigabits "$one" "$two"
    done
  done
  remove_machines
done
