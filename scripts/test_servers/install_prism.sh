#!/bin/sh
# Installs the server that checks requests against Twilio's OpenAPI description (prism), into the target directory.
set -eu
cd "$(dirname "$0")/../.."
dir="${CARGO_TARGET_DIR:-target}/test-servers/prism"
if ! [ -x "$dir/node_modules/.bin/prism" ]; then
    mkdir -p "$dir"
    npm install --no-audit --no-fund --silent --prefix "$dir" '@stoplight/prism-cli@5'
fi
"$dir/node_modules/.bin/prism" --version
