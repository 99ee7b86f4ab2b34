#!/bin/bash
# Fails when a generated page in docs/ is not what the table of keys gives now.
#
#   check_docs.sh GEN_DOCS SCRATCH_FOLDER FILE...
set -uo pipefail

gen=$1 scratch=$2
shift 2
"$gen" "$scratch" || exit 1
stale=0
for file; do
    if ! diff -u "docs/$file" "$scratch/$file"; then
        echo "docs/$file is stale: run make docs"
        stale=1
    fi
done
exit $stale
