#!/bin/bash
# Brings into the repository what `make fuzz` found and what reaches code that no input there reaches:
# the smallest set, and never more than MOST files in a corpus.
#
#   fuzz_merge.sh FOLDER NAME...      # FOLDER: build/fuzz
set -euo pipefail

MOST=${MOST:-300}
folder=$1
shift
for name; do
    corpus=tests/fuzz/corpus/$name
    new=$(mktemp -d)
    cp "$corpus"/* "$new"
    "$folder/tests/fuzz/fuzz_$name" -set_cover_merge=1 -use_counters=0 "$new" "$folder/corpus/$name" \
        >"$folder/$name.merge.log" 2>&1
    room=$((MOST - $(find "$corpus" -type f | wc -l)))
    before=$room
    # Small ones first: they say most per byte.
    while read -r _ file; do
        base=$(basename "$file")
        if [ "$room" -le 0 ] || [ -e "$corpus/$base" ]; then continue; fi
        cp "$file" "$corpus/$base"
        room=$((room - 1))
    done < <(find "$new" -type f -printf '%s %p\n' | sort -n)
    rm -rf "$new"
    echo "fuzz_merge $name: $((before - room)) new inputs"
done
