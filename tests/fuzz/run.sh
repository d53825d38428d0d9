#!/usr/bin/env bash
# Feeds arbitrary input to everything that reads files and texts, under the sanitizers: builds the fuzzers and runs each
# of them, all or the named ones. Inputs that reach something new are kept in build/fuzz/corpus and tried first the next
# time. Fails where an input breaks something, and shows it. Options go to libFuzzer; without one each runs for a few
# seconds:
#   tests/fuzz/run.sh
#   tests/fuzz/run.sh tokenizer safetensors -max_total_time=600
#   build/fuzz/tests/fuzz/tokenizer_fuzzer FILE   # the same input again
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# How many inputs are tried in a few seconds.
declare -A inputs=([bert_config]=30000 [safetensors]=10000 [safetensors_index]=20000 [task_files]=5000
                   [tokenizer]=15000 [tokenizer_config]=30000
                   [tokenizer_json]=20000 [token_store]=10000 [utf8]=50000 [vocabulary]=20000 [wordpiece_trainer]=5000)
names=() options=()
for argument in "$@"; do
  if [[ $argument == -* ]]; then options+=("$argument"); else names+=("$argument"); fi
done
[[ ${#names[@]} -gt 0 ]] || mapfile -t names < <(printf '%s\n' "${!inputs[@]}" | sort)
for name in "${names[@]}"; do
  [[ -n ${inputs[$name]:-} ]] || { echo "fuzz: there is no fuzzer '$name', there are ${!inputs[*]}" >&2; exit 2; }
done

scripts/install_dependencies.sh fuzz
cmake --preset fuzz --log-level=WARNING
cmake --build --preset fuzz

# What is written goes to memory where that is possible: a disk that is flushed would take most of the time.
memory=--tmpdir
[[ ! -w /dev/shm ]] || memory=--tmpdir=/dev/shm
TMPDIR=$(mktemp --directory "$memory" bertie_fuzz_XXXXXX)
export TMPDIR ASAN_OPTIONS=allow_addr2line=1
trap 'rm -rf "$TMPDIR"' EXIT

fuzz() {  # name
  local name=$1 start=$SECONDS
  local folder=build/fuzz/found/$name log=build/fuzz/found/$name.log dictionary=text
  case $name in bert_config | tokenizer_config | tokenizer_json | safetensors | safetensors_index | task_files | token_store) dictionary=json ;; esac
  rm -rf "$folder"
  mkdir -p "$folder" "build/fuzz/corpus/$name"
  local limits=(-seed=1 "-runs=${inputs[$name]}")
  [[ ${#options[@]} -eq 0 ]] || limits=("${options[@]}")
  if "build/fuzz/tests/fuzz/${name}_fuzzer" "-dict=tests/fuzz/$dictionary.dict" "-artifact_prefix=$folder/" -timeout=30 \
      "${limits[@]}" "build/fuzz/corpus/$name" "tests/fuzz/corpus/$name" &>"$log"; then
    echo "fuzz: $name: $(grep '^Done' "$log" || echo "nothing ran, see $log")"
    return
  fi
  grep -v -E '^#[0-9]+\s' "$log" | tail -n 60
  echo "fuzz: $name: FAILED after $((SECONDS - start)) s; these inputs, in base64:"
  for input in "$folder"/*; do
    [[ -f $input ]] && echo "$input" && base64 "$input"
  done
  return 1
}

failed=0
for name in "${names[@]}"; do
  fuzz "$name" || failed=1
done
exit $failed
