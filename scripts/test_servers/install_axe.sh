#!/bin/sh
# Installs what the browser tests of the demo check accessibility with (axe-core), into the target directory.
set -eu
cd "$(dirname "$0")/../.."
dir="${CARGO_TARGET_DIR:-target}/test-servers/axe"
mkdir -p "$dir"
for file in package.json package-lock.json; do
    cmp -s "scripts/test_servers/axe/$file" "$dir/$file" || rm -rf "$dir/node_modules"
    cp "scripts/test_servers/axe/$file" "$dir/"
done
[ -f "$dir/node_modules/axe-core/axe.min.js" ] || npm ci --no-audit --no-fund --silent --prefix "$dir"
head -c 30 "$dir/node_modules/axe-core/axe.min.js" | head -n 1
