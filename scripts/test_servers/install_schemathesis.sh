#!/bin/sh
# Installs the program that holds the endpoints against their OpenAPI description (schemathesis), into the target
# directory.
set -eu
cd "$(dirname "$0")/../.."
dir="${CARGO_TARGET_DIR:-target}/test-servers/schemathesis"
version=4.32.5
if [ "$("$dir/bin/schemathesis" --version 2>/dev/null)" != "schemathesis, version $version" ]; then
    python3 -m venv "$dir"
    "$dir/bin/python" -m pip install --quiet "schemathesis==$version"
fi
"$dir/bin/schemathesis" --version
