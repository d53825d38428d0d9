#!/usr/bin/env bash
# Installs what is missing, builds everything and runs all tests. Tests that need data from outside the project read it
# from the folder that the environment variable BERTIE_TEST_DATA names, and are skipped without it. Options go to ctest:
#   scripts/test.sh
#   scripts/test.sh -R Autograd
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build/release

"$root/scripts/install_dependencies.sh" test
echo "test: building in $build"
cmake -S "$root" -B "$build" -G Ninja --log-level=WARNING -DBERTIE_TESTS=ON -DBERTIE_BENCH=ON
cmake --build "$build"
echo "test: running the tests"
[[ -n ${BERTIE_TEST_DATA:-} ]] || echo "test: BERTIE_TEST_DATA is not set, so tests that need data from outside the project are skipped"
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}  # tests run side by side, so threads that wait must not spin
ctest --test-dir "$build" --parallel "$(nproc)" --output-on-failure "$@"
