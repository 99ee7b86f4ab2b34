#!/bin/bash
# Unpacks programs that `make bench` and `make figures` measure with into a folder. They are not
# installed: that would start some as services on this machine's ports. Without a network the bench
# runs without them.
#
#   unpack_peers.sh FOLDER PACKAGE...
set -uo pipefail

folder=$1
shift
[ "$(cat "$folder/.complete" 2>/dev/null)" != "$*" ] || exit 0
command -v apt-get >/dev/null || exit 0
mkdir -p "$folder/debs"
echo "unpacking $* into $folder"
if (cd "$folder/debs" && apt-get download -qq "$@" 2>err); then
    for deb in "$folder"/debs/*.deb; do
        dpkg-deb -x "$deb" "$folder" || exit 0
    done
    rm -rf "$folder/debs"
    echo "$*" >"$folder/.complete"
else
    cat "$folder/debs/err" >&2
    echo "bench: could not download them (make deps or apt-get update may help); going on without"
fi
