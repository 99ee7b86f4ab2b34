#!/bin/bash
# Runs each fuzzer over the files of its corpus, tests/fuzz/corpus/NAME/; a fuzzer is one test.
#
#   run_fuzz.sh FOLDER_OF_PROGRAMS NAME...
set -uo pipefail

bins=$1
shift
passed=0 failed=0
for name; do
    corpus=tests/fuzz/corpus/$name
    mapfile -t inputs < <(find "$corpus" -type f 2>/dev/null | sort)
    if [ ${#inputs[@]} -eq 0 ]; then
        echo "fuzz $name: no corpus in $corpus"
        failed=$((failed + 1))
    elif timeout 120 "$bins/fuzz_$name" "${inputs[@]}" >"$bins/fuzz_$name.log" 2>&1; then
        echo "fuzz $name: ${#inputs[@]} inputs"
        passed=$((passed + 1))
    else
        tail -n 60 "$bins/fuzz_$name.log"
        echo "fuzz $name: FAILED"
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
