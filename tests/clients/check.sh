#!/usr/bin/env bash
# Generates clients of the REST interface as others would, and compiles programs that use them under the strictest settings; and lets two
# linters read the document. Run by `make check-clients`, which has made gen/openapi.json and the environment of Python's packages.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/.cache/clients
document=$root/gen/openapi.json
# node and npm of this machine, else those of the environment. The generator looks for ruff on PATH.
PATH=$PATH:$work/venv/bin

mkdir -p "$work/typescript"
cd "$work/typescript"
if ! cmp -s "$here/package-lock.json" installed.json; then
  cp "$here"/package{,-lock}.json .
  npm ci --silent --no-audit --no-fund
  cp package-lock.json installed.json
fi
cp "$here"/{program.ts,tsconfig.json,redocly.yaml} .
cp "$here/spectral.yaml" .spectral.yaml
cp "$document" openapi.json
export REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true

echo "redocly";    npx --no-install redocly lint --config redocly.yaml --format stylish --max-problems 20 openapi.json >lint.log 2>&1 || { cat lint.log; exit 1; }
# Warnings count as errors here: there are none.
! grep -E "You have [0-9]+ warning" lint.log || { cat lint.log; exit 1; }
echo "spectral";   npx --no-install spectral lint --quiet --fail-severity=warn openapi.json
echo "typescript"; npx --no-install openapi-typescript openapi.json -o api.ts >generate.log 2>&1 || { cat generate.log; exit 1; }
npx --no-install tsc -p tsconfig.json

mkdir -p "$work/python"
cd "$work/python"
cp "$here"/{program.py,mypy.ini} .
echo "python"
openapi-python-client generate --path "$document" --output-path convergence_rest --overwrite --meta none >generate.log 2>&1 || { cat generate.log; exit 1; }
# It leaves out what it cannot read, and says so in a warning.
! grep -A4 -iE "warning|unable to parse" generate.log
"$work/venv/bin/mypy" --config-file mypy.ini program.py
