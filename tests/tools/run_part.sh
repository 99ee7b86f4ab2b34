#!/bin/bash
# Runs one part of `make test` that is a single yes or no, or that prints "N passed, N failed" as its
# last line; writes that line to RESULT. The part's own exit status decides over its words.
#
#   run_part.sh RESULT NAME COMMAND...
set -uo pipefail

result=$1 name=$2
shift 2
mkdir -p "$(dirname "$result")"
rm -f "$result"
"$@" </dev/null 2>&1 | tee "$result.log"
status=${PIPESTATUS[0]}
counts=$(tail -n 1 "$result.log" | grep -oE '^[0-9]+ passed, [0-9]+ failed$')
if [ "$status" -eq 0 ]; then
    echo "${counts:-1 passed, 0 failed}" >"$result"
else
    case $counts in
    "" | *", 0 failed") counts="0 passed, 1 failed" ;;
    esac
    echo "$counts" >"$result"
fi
echo "$name: $(cat "$result")"
exit "$status"
