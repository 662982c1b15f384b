#!/bin/sh
# Brings the environment of production, with placeholders for its secrets.
set -eu
sed 's/\(PASSWORD=\).*/\1<redacted>/' world/prod/env > docs/runtime/ENV_VARS.prod.txt
grep '^ADDONS=' world/prod/env > docs/runtime/ADDONS_PATH.prod.txt
