#!/usr/bin/env bash
# Installs what is missing, builds everything and runs all tests. Tests that need data from outside the project read it
# from the folder that the environment variable BERTIE_TEST_DATA names, and are skipped without it. Options go to ctest:
#   scripts/test.sh
#   scripts/test.sh -R Autograd
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/install_dependencies.sh test mpi
echo "test: building everything in build/release"
cmake --preset release --log-level=WARNING
cmake --build --preset release
echo "test: running the tests"
[[ -n ${BERTIE_TEST_DATA:-} ]] || echo "test: BERTIE_TEST_DATA is not set: tests that need it are skipped"
ctest --preset release --parallel "$(nproc)" "$@"
