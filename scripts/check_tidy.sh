#!/usr/bin/env bash
# Lets clang-tidy look for faults, with the checks that .clang-tidy names: in the sources of libraries and programs, or in
# those given. Vector kernels are left out, plain loops that are compiled with options that clang doesn't know.
#   scripts/check_tidy.sh nn/module.cpp
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/install_dependencies.sh tidy

# Most of the time goes into the headers of other libraries: where all files are checked, several share them.
build=build/tidy unity=OFF options=()
[[ $# -gt 0 ]] || build=build/tidy_all unity=ON options=(--checks=-bugprone-suspicious-include)
cmake -S . -B "$build" -G Ninja --log-level=WARNING -DCMAKE_UNITY_BUILD="$unity" -DBERTIE_TESTS=OFF -DBERTIE_BENCH=OFF \
  -DBERTIE_WERROR=OFF >/dev/null
files=("$@")
[[ $# -gt 0 ]] || mapfile -t files < <(sed -n 's/^ *"file": "\(.*\)",*$/\1/p' "$build/compile_commands.json" |
                                       sort -u | grep -v '\.kernel\.cpp$')
# What clang tells of warnings that it leaves out is no finding.
printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "$(nproc)" clang-tidy-14 --quiet "${options[@]}" -p "$build" 2> >(
  grep -v -E '^[0-9]+ warnings?( and [0-9]+ errors?)? generated\.$' >&2)
