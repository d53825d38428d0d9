#!/usr/bin/env bash
# `cmake --preset release` with the packages of `scripts/install_dependencies.sh` alone, that is without GoogleTest,
# Google Benchmark and MPI: it configures, says in a line each what is left out, and still makes the programs.
#   tests/project/default_packages_test.sh
set -euo pipefail
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

wrong() { echo "FAILED: $*"; cat "$work/log"; exit 1; }
cd "$work"
cmake -S "$source" --preset release -B build -D CMAKE_DISABLE_FIND_PACKAGE_GTest=ON \
  -D CMAKE_DISABLE_FIND_PACKAGE_benchmark=ON -D CMAKE_DISABLE_FIND_PACKAGE_MPI=ON >log 2>&1 || wrong "configuring"
while read -r packages left_out; do
  [[ $(grep -c "$left_out left out.*scripts/install_dependencies.sh $packages\$" log) -eq 1 ]] || wrong "'$left_out left out'"
done <<<"test The tests are
test bench/ops is
mpi Several processes are"
! grep -q -i -e "warning" -e "error" log || wrong "there is nothing to warn about"
ninja -C build -t targets all >targets
ninja -C build -t query programs >made
for program in bert_pretrain wordpiece bench/train_step bench/infer bench/tokenize; do
  grep -q "^$program: " targets || wrong "there is no $program"
  grep -q "^ *$program\$" made || wrong "$program isn't among the programs"
done
# `cmake --install` installs nothing else than what is built with the programs.
ninja -C build -t graph programs >graph
installed=$(grep -o "$work/build/[a-z_.]*\"" build/cmake_install.cmake | sort -u | sed 's/"$//; s,.*/,,' | grep -v -i cmake)
[[ $(wc -l <<<"$installed") -gt 10 ]] || wrong "what is installed isn't known: $installed"
for file in $installed; do grep -q "\"$file\"" graph || wrong "$file is installed, but not built with the programs"; done
! grep -q "^tests/test_" targets || wrong "there are tests without GoogleTest"
echo "all passed"
