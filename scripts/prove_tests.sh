#!/usr/bin/env bash
# Proves that the tests notice what they should: puts one fault after another into a copy of the sources, builds the
# test program of the folder where the fault is, and runs it. Whatever lets all its tests pass is printed as SURVIVED.
#   scripts/prove_tests.sh                          every fault; about half an hour on 2 cores
#   scripts/prove_tests.sh ops nn/…                those of a folder, and single ones
#   scripts/prove_tests.sh --list                   what there is
#   scripts/prove_tests.sh --jobs 1 …               how many to try side by side (default: one per processor)
# A fault is a patch, tests/faults/<folder>/<name>.patch, made with `git diff -U1`; its first line says after "# " what
# is broken. <folder> names the test program: data_files is tested by test_data_files, and holds faults in data/files;
# processes, faults in nn/ that test_processes is to catch, which mpirun starts.
# Exit status 0 where every fault was caught, 1 where one wasn't, doesn't fit the sources or doesn't compile.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export root=$PWD work=$PWD/build/prove_tests

usage() { echo "prove_tests: $* (the head of the script tells more)" >&2; exit 2; }
what_is_broken() { sed -n '1s/^# //p' "$1"; }
list=no jobs=$(nproc) faults=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --list) list=yes ;;
    --jobs) [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || usage "--jobs takes a number"; jobs=$2; shift ;;
    -*) usage "unknown option $1" ;;
    *)
      if [[ -d tests/faults/$1 ]]; then faults+=("tests/faults/$1"/*.patch)
      elif [[ -f tests/faults/$1.patch ]]; then faults+=("tests/faults/$1.patch")
      else usage "there is no fault and no folder '$1'"; fi ;;
  esac
  shift
done
[[ ${#faults[@]} -gt 0 ]] || faults=(tests/faults/*/*.patch)
if [[ $list == yes ]]; then
  for fault in "${faults[@]}"; do
    name=${fault#tests/faults/}
    printf '%-44s %s\n' "${name%.patch}" "$(what_is_broken "$fault")"
  done
  exit 0
fi
scripts/install_dependencies.sh test mpi

# Runs a folder's tests, in the worker's copy; the exit status is 124 where they take longer than they may. A fault may
# ask for memory without end: the limit leaves 8 GiB beside the 1 TiB of addresses that bertie reserves. Tests that read
# data from outside the project are skipped, so that the faults are caught without it.
run_tests() {  # folder, seconds
  (
    cd "build/tests"
    ulimit -c 0 -v $((2 ** 30 + 2 ** 23))
    export -n BERTIE_TEST_DATA
    local run=("./test_$1" --gtest_fail_fast)
    # The launcher is told there what it must know.
    [[ $1 != processes ]] || run=(ctest -R '^Processes[34]|^LostProcesses' --output-on-failure --stop-on-failure)
    OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive exec timeout --kill-after=5 "$2" "${run[@]}"
  )
}

# The first test that failed and, on a line of its own, what it said; a crash is the fault of the test that ran last.
first_failure() {  # log
  awk '/^\[ RUN      \]/ { test = $4; said = saying = "" }
       /^\[  FAILED  \]/ { failed = 1; exit }
       /: Failure$/ { saying = said == "" }
       saying { gsub(/[ \t]+/, " "); said = said substr($0, 1, 200) " " }
       END { print test (failed ? "" : ", which crashed"); print substr(said, 1, 500) }' "$1"
}

prove_without_fault() {  # folder
  local start=$SECONDS
  cd "$work/0"
  if ! run_tests "$1" 600 >"$work/$1.log" 2>&1; then
    echo "prove_tests: test_$1 fails without any fault, see $work/$1.log" >&2
    exit 255  # xargs stops
  fi
  echo $((SECONDS - start)) >"$work/$1.seconds"
}

# Plants faults of one file in turn, so that each build compiles that file and no other.
prove() {  # faults …
  cd "$work/$WORKER"
  export CCACHE_BASEDIR=$PWD
  local fault name folder log patch verdict about failure status
  for fault; do
    name=${fault#tests/faults/} name=${name%.patch} folder=${name%/*} failure=""
    log=$work/logs/$name.log
    mkdir -p "${log%/*}"
    patch=(patch --quiet --force --fuzz=0 --no-backup-if-mismatch --strip=1 --input="$root/$fault")
    if ! "${patch[@]}" --dry-run >"$log" 2>&1; then
      verdict="NO FIT"
    else
      "${patch[@]}"
      if ! cmake --build build --parallel 1 --target "test_$folder" >"$log" 2>&1; then
        verdict="NO BUILD"
      else
        status=0
        run_tests "$folder" $((60 + 5 * $(<"$work/$folder.seconds"))) >"$log" 2>&1 || status=$?
        case $status in
          0) verdict=SURVIVED ;;
          124 | 137) verdict=caught failure="a hang" ;;
          *) verdict=caught failure=$(first_failure "$log") ;;
        esac
      fi
      "${patch[@]}" --reverse
    fi
    echo "$verdict $name" >>"$work/verdicts"
    about=$(what_is_broken "$root/$fault")
    { # one write, so that lines of workers don't mix
      printf '%-8s  %s: %s' "$verdict" "$name" "$about"
      [[ $verdict != caught ]] || printf '\n          by %s' "${failure/$'\n'/$'\n'          }"
    } | { cat; echo; } | dd bs=64K iflag=fullblock status=none
  done
}
export -f what_is_broken run_tests first_failure prove_without_fault prove

mapfile -t folders < <(printf '%s\n' "${faults[@]}" | cut -d / -f 3 | sort -u)
mkdir -p "$work"
rm -rf "$work"/{logs,verdicts,*.log,*.seconds}
: >"$work/verdicts"
for ((worker = 0; worker < jobs; ++worker)); do
  copy=$work/$worker
  echo "prove_tests: building ${folders[*]/#/test_} in $copy"
  scripts/copy_sources.sh "$copy"
  export CCACHE_BASEDIR=$copy  # where there is a ccache: it knows the files from the other copies
  cmake -S "$copy" -B "$copy/build" -G Ninja --log-level=WARNING -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS=-O1 \
    -DBERTIE_WERROR=OFF -DBERTIE_TESTS=ON -DBERTIE_BENCH=OFF >"$copy.log"
  cmake --build "$copy/build" --target "${folders[@]/#/test_}" >"$copy.log" || { cat "$copy.log"; exit 1; }
done
echo "prove_tests: running them without any fault"
printf '%s\n' "${folders[@]}" | xargs -I{} --max-procs="$jobs" bash -euo pipefail -c 'prove_without_fault {}'
echo "prove_tests: planting ${#faults[@]} faults"
for fault in "${faults[@]}"; do
  echo "$(grep -m 1 '^--- ' "$fault" | cut -f 1 | cut -c 5-) $fault"
done | sort -u | awk '$1 != file { printf file == "" ? "" : "\n"; file = $1 } { printf " " $2 } END { print "" }' |
  xargs --max-lines=1 --max-procs="$jobs" --process-slot-var=WORKER bash -euo pipefail -c 'prove "$@"' prove

count() { grep --count "^$1 " "$work/verdicts" || true; }
echo "prove_tests: ${#faults[@]} planted, $(count caught) caught, $(count SURVIVED) survived, $(count "NO FIT") don't fit," \
  "$(count "NO BUILD") don't compile, $((SECONDS / 60)) min $((SECONDS % 60)) s"
if [[ $(count caught) -lt ${#faults[@]} ]]; then
  grep --invert-match '^caught ' "$work/verdicts" | sort
  exit 1
fi
