#!/usr/bin/env bash
# Makes the Python environment ($1, default .venv) from the hashed lock, with both distributions in editable form.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv}
say() { printf '\033[1m[setup]\033[0m %s\n' "$*" >&2; }
[ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
pip=("$venv/bin/python" -m pip --disable-pip-version-check)
say "Python packages into $venv"
"${pip[@]}" install -q --require-hashes -r requirements.lock
"${pip[@]}" install -q --no-deps --no-build-isolation -e . -e ./lab
# For machines that have no kubectl or routing daemons: the lab looks here after PATH.
for tool in .tools/bin/*; do ln -sfn "$PWD/$tool" "$venv/bin/${tool##*/}"; done
say "Python environment is ready"
