#!/bin/sh
# Installs the SMTP server that the tests of countersign-smtp talk to (aiosmtpd), into the target directory.
set -eu
cd "$(dirname "$0")/../.."
dir="${CARGO_TARGET_DIR:-target}/test-servers/python"
if ! "$dir/bin/python" -c 'import aiosmtpd, cryptography' 2>/dev/null; then
    python3 -m venv "$dir"
    "$dir/bin/python" -m pip install --quiet 'aiosmtpd==1.4.6' 'cryptography>=42'
fi
"$dir/bin/python" -c 'import aiosmtpd; print("aiosmtpd", aiosmtpd.__version__)'
