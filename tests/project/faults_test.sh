#!/usr/bin/env bash
# The patches that scripts/show_faults.sh and scripts/prove_tests.sh apply fit the sources as they are, each where its
# fault belongs. Status 77 where there is no `patch`.
#   tests/project/faults_test.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if ! command -v patch >/dev/null; then
  echo "skipped: no 'patch' here"
  exit 77
fi

failures=0
wrong() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

check_patch() {  # file, the one that it may change as a pattern
  local changed said
  [[ $1 == *.patch && $(head -n 1 "$1") == "# "?* ]] ||
    wrong "$1 should be a .patch that begins with a line that says what it breaks"
  changed=$(sed -n 's,^--- a/,,p' "$1")
  [[ $changed == $2 && $changed != *$'\n'* && $(sed -n 's,^+++ b/,,p' "$1") == "$changed" ]] ||
    wrong "$1 should change one file, $2"
  said=$(patch --dry-run --force --fuzz=0 --strip=1 --input="$1") || wrong "$1 doesn't fit: $said"
}

declare -A shown=([positions_not_added]=models/bert.cpp
                  [attention_sees_only_the_left]=ops/attention.cpp
                  [masks_leak_the_answer]=data/batches/masking.cpp)
for file in scripts/faults/*; do
  name=$(basename "$file" .patch)
  [[ -n ${shown[$name]:-} ]] || wrong "$file is none of ${!shown[*]}"
done
for name in "${!shown[@]}"; do
  file=scripts/faults/$name.patch
  if [[ -f $file ]]; then check_patch "$file" "${shown[$name]}"; else wrong "$file is missing"; fi
done

# tests/faults/data_files holds faults of data/files, which test_data_files is to catch; what several processes do together
# is in nn/.
planted=0
for file in tests/faults/*/*; do
  folder=$(basename "$(dirname "$file")")
  folder=${folder/#data_/data/}
  [[ -d tests/$folder ]] || wrong "$file: there are no tests of $folder"
  check_patch "$file" "${folder/#processes/nn}/*"
  planted=$((planted + 1))
done

[[ $failures -eq 0 ]] || { echo "$failures failed"; exit 1; }
echo "all passed, $planted faults can be planted"
