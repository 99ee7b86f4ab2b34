#!/bin/bash
# Lets each fuzzer run for a while, from its corpus in tests/fuzz/corpus/NAME/ and what earlier runs
# found, and says how much it ran, how much of the program it reached, and what it broke. What it
# finds stays in FOLDER: corpus/NAME/, artifacts/NAME/ (inputs that break a promise), NAME.log.
#
#   fuzz.sh FOLDER SECONDS NAME...
#
# FUZZ_ARGS are given to every fuzzer.
set -uo pipefail

folder=$1 seconds=$2
shift 2
findings=0
for name; do
    corpus=$folder/corpus/$name artifacts=$folder/artifacts/$name log=$folder/$name.log
    mkdir -p "$corpus" "$artifacts"
    dict=()
    [ ! -e "tests/fuzz/$name.dict" ] || dict=("-dict=tests/fuzz/$name.dict")
    # New inputs go into the first folder; the repository's own is only read.
    read -ra more <<<"${FUZZ_ARGS:-}"
    "$folder/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -max_len=8192 -timeout=10 \
        -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$artifacts/" "${dict[@]}" \
        "${more[@]}" "$corpus" "tests/fuzz/corpus/$name" >"$log" 2>&1
    status=$?
    ran=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
    reached=$(grep -oE 'cov: [0-9]+ ft: [0-9]+' "$log" | tail -n 1)
    found=$(find "$artifacts" -type f | wc -l)
    [ $status -eq 0 ] || [ "$found" -gt 0 ] || found=1 # it did not even run
    findings=$((findings + found))
    echo "fuzz $name: ${ran:-?} executions in $seconds s, ${reached:-cov: ?} (edges, features), $found findings"
    [ "$found" -eq 0 ] || { tail -n 40 "$log"; find "$artifacts" -type f; }
done
[ $findings -eq 0 ]
