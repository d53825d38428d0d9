#!/usr/bin/env bash
# Makes a folder hold the project's sources as they are here. Files that are the same already aren't written, so that a
# build in that folder's build/, which is left alone, compiles only what has changed; others go.
#   scripts/copy_sources.sh FOLDER
set -euo pipefail
export LC_ALL=C
[[ $# -eq 1 ]] || { echo "usage: copy_sources.sh FOLDER" >&2; exit 2; }
folder=$(realpath --canonicalize-missing "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The files of the project, with a zero byte after each name.
sources() {
  if [[ -e .git ]]; then
    git ls-files -z --cached --others --exclude-standard
  else
    find . -path ./build -prune -o -type f -printf '%P\0'
  fi | while IFS= read -r -d '' file; do
    [[ ! -f $file ]] || printf '%s\0' "$file"  # git also lists what was deleted
  done
}

mkdir -p "$folder"
sources | while IFS= read -r -d '' file; do
  cmp --quiet "$file" "$folder/$file" || printf '%s\0' "$file"
done | tar --create --null --files-from=- | tar --extract --touch --directory="$folder"
cd "$folder"
comm -z -13 <(cd "$OLDPWD" && sources | sort -z) \
            <(find . -path ./build -prune -o -type f -printf '%P\0' | sort -z) | xargs -0 -r rm --
