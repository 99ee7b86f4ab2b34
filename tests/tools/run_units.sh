#!/bin/bash
# Runs cmocka programs one after the other: a line each, the whole output of one that failed, and
# "N passed, N failed" in RESULT. A program that dies counts as one failed test more.
#
#   run_units.sh RESULT PROGRAM...
set -uo pipefail

result=$1
shift
passed=0 failed=0
mkdir -p "$(dirname "$result")"
for program; do
    name=${program#*/tests/unit/}
    start=$(date +%s%N)
    "$program" >"$program.log" 2>&1 </dev/null
    status=$?
    ms=$((($(date +%s%N) - start) / 1000000))
    ok=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$program.log" | tail -1)
    bad=$(sed -n 's/^\[  FAILED  \] \([0-9]*\) test.*/\1/p' "$program.log" | tail -1)
    ok=${ok:-0} bad=${bad:-0}
    if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1
    fi
    passed=$((passed + ok)) failed=$((failed + bad))
    if [ "$bad" -gt 0 ]; then
        cat "$program.log"
        printf 'unit %-36s %3d passed, %d FAILED (exit %d)\n' "$name" "$ok" "$bad" "$status"
    else
        printf 'unit %-36s %3d passed %6d ms\n' "$name" "$ok" "$ms"
    fi
done
echo "$passed passed, $failed failed" >"$result"
[ "$failed" -eq 0 ]
