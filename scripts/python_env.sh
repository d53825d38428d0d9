#!/usr/bin/env bash
# Makes the virtual environment that the Python referees run in, or reuses it, and prints its interpreter:
#   python=$(scripts/python_env.sh) && "$python" tests/models/reference/make_bert_reference.py
# It lies in .venv of the project, or in the folder that BERTIE_PYTHON_ENV names. Packages and their versions
# are in requirements.txt; from where they come is up to pip's own configuration.
set -euo pipefail

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
environment=${BERTIE_PYTHON_ENV:-$(dirname "$scripts")/.venv}
python=$environment/bin/python
installed=$environment/requirements.txt  # those that were installed last, to see whether they still hold

if [[ ! -x $python ]]; then
  echo "python_env: creating $environment" >&2
  if ! python3 -m venv "$environment" >&2; then
    echo "python_env: python3 -m venv failed; on Debian it is in the package python3-venv" >&2
    exit 1
  fi
fi
if ! cmp -s "$scripts/requirements.txt" "$installed"; then
  echo "python_env: installing $(grep -c == "$scripts/requirements.txt") packages into $environment" >&2
  "$python" -m pip install --quiet --requirement "$scripts/requirements.txt" >&2
  cp "$scripts/requirements.txt" "$installed"
fi
echo "$python"
