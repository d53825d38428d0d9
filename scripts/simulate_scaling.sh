#!/usr/bin/env bash
# Records what a process of several sends in a training step, and simulates steps on 2 … 64 machines. Needs SimGrid, on
# Debian 12 `apt-get install libsimgrid-dev`. See bench/simulate_scaling.py, which gets
# all arguments.
#   scripts/simulate_scaling.sh --record --check     # makes the figures of docs/scaling.md
#   scripts/simulate_scaling.sh                      # simulates what was recorded
# BERTIE_BUILD names the build folder (default: build/release).
set -euo pipefail

root=$(dirname "${BASH_SOURCE[0]}")/..
if ! command -v smpirun >/dev/null; then
  echo "simulate_scaling: there is no SimGrid: apt-get install libsimgrid-dev" >&2
  exit 1
fi
programs=$("$root/bench/build_bench.sh")
exec python3 "$root/bench/simulate_scaling.py" --programs "$programs" "$@"
