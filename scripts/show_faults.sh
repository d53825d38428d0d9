#!/usr/bin/env bash
# What the table that bert_pretrain prints at its end shows of a training that is broken: copies the sources, puts one
# of the faults in scripts/faults/*.patch into the copy, trains there as pretrain.sh does on the text that bertie brings
# along, and prints the table. Up to 5 minutes for each fault on 2 cores.
#   scripts/show_faults.sh                                                   all of them
#   scripts/show_faults.sh positions_not_added -- --preset tiny --steps 40   options go to pretrain.sh
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

names=()
while [[ $# -gt 0 && $1 != -- ]]; do
  if [[ ! -f scripts/faults/$1.patch ]]; then
    echo "show_faults: unknown fault '$1': there are $(cd scripts/faults && echo *.patch | sed 's/\.patch//g')" >&2
    exit 2
  fi
  names+=("$1")
  shift
done
[[ $# -eq 0 ]] || shift
if [[ ${#names[@]} -eq 0 ]]; then
  for patch in scripts/faults/*.patch; do names+=("$(basename "$patch" .patch)"); done
fi
scripts/install_dependencies.sh test

for name in "${names[@]}"; do
  copy=build/faults/$name log=build/faults/$name.log
  rm -rf "$copy"
  scripts/copy_sources.sh "$copy"
  patch --quiet --force --fuzz=0 --strip=1 --directory="$copy" --input="$root/scripts/faults/$name.patch"
  echo "show_faults: $name: building and training in $copy, see $log" >&2
  if ! "$copy/scripts/pretrain.sh" "$@" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "show_faults: $name: the training failed, see $log" >&2
    exit 1
  fi
  echo
  echo "$name"
  sed -n '1s/^# //p' "scripts/faults/$name.patch"
  if ! awk '/accuracy.*loss in nats/ { table = 1 } /^best:/ { exit } table { print; ++lines } END { exit lines < 3 }' \
    "$log"; then
    echo "show_faults: $name: no table in $log" >&2
    exit 1
  fi
done
