#!/usr/bin/env bash
# The patches that scripts/show_faults.sh applies fit the sources as they are, each where its fault belongs. Status 77
# where there is no `patch`.
#   tests/project/faults_test.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if ! command -v patch >/dev/null; then
  echo "skipped: no 'patch' here"
  exit 77
fi

declare -A faults=([positions_not_added]=models/bert.cpp
                   [attention_sees_only_the_left]=ops/attention.cpp
                   [masks_leak_the_answer]=data/batches/masking.cpp)
failures=0
wrong() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

for file in scripts/faults/*; do
  name=$(basename "$file" .patch)
  [[ -n ${faults[$name]:-} && $file == *.patch ]] || wrong "$file is none of ${!faults[*]}"
done
for name in "${!faults[@]}"; do
  file=scripts/faults/$name.patch touches=${faults[$name]}
  [[ -f $file ]] || { wrong "$file is missing"; continue; }
  [[ $(head -n 1 "$file") == "# "* ]] || wrong "$file should begin with a line that says what it breaks"
  [[ $(grep '^---' "$file") == "--- a/$touches" && $(grep '^+++' "$file") == "+++ b/$touches" ]] ||
    wrong "$file should change $touches alone"
  said=$(patch --dry-run --force --fuzz=0 --strip=1 --input="$file") || wrong "$file doesn't fit: $said"
done

[[ $failures -eq 0 ]] || { echo "$failures failed"; exit 1; }
echo "all passed"
