#!/usr/bin/env bash
# Builds bench/train_step with MPI and shows what two processes of one thread reach beside one process of two threads,
# and what logical parts cost, in some five minutes. See bench/compare_processes.py, which gets all arguments.
#   scripts/compare_processes.sh --rounds 5
# BERTIE_BUILD names the build folder (default: build/release).
set -euo pipefail

root=$(dirname "${BASH_SOURCE[0]}")/..
"$root/scripts/install_dependencies.sh" mpi
programs=$("$root/bench/build_bench.sh")
exec python3 "$root/bench/compare_processes.py" --programs "$programs" "$@"
