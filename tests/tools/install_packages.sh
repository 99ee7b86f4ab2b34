#!/bin/bash
# Installs what `make deps` names and this machine lacks, then writes the make fragment that says
# where llhttp is. With everything in place it starts no apt, so it is quick and works offline.
#
#   install_packages.sh FRAGMENT LLHTTP_DIR LLHTTP_DEV LLHTTP_SOURCE PACKAGE...
#
# llhttp has a development package only in newer releases (LLHTTP_DEV). Elsewhere its C sources are
# unpacked from the one package that carries them (LLHTTP_SOURCE), without installing it: that would
# pull in Node.js.
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
log=$scratch/log

fragment=$1 llhttp_dir=$2 llhttp_dev=$3 llhttp_source=$4
shift 4

say() { echo "deps: $*"; }
fail() {
    echo "deps: $*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "not root and no sudo here: cannot run: $*"
    fi
}

installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

known() { # apt has a version of it to install
    local policy
    policy=$(apt-cache policy "$1" 2>/dev/null) # not a pipe: grep -q would end it early
    [[ $policy == *"Candidate: "[^\(]* ]]
}

updated=no
update() {
    [ $updated = no ] || return 0
    say "apt-get update"
    local try
    for try in 1 2 3 4 5 6; do # somebody else may have the lists locked for a while
        as_root apt-get update -qq >"$log" 2>&1 && break
        [ "$try" -lt 6 ] || fail "apt-get update failed:
$(cat "$log")"
        sleep 5
    done
    updated=yes
}

install() {
    local p
    for p; do
        known "$p" || update
    done
    say "installing: $*"
    apt_install "$@" && return 0
    [ $updated = yes ] || update # old lists name versions that are gone from the mirror
    apt_install "$@" || fail "apt could not install: $*
$(cat "$log")"
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
        -o DPkg::Lock::Timeout=120 "$@" </dev/null >"$log" 2>&1
}

unpack_llhttp() {
    local tmp=$scratch/llhttp
    mkdir "$tmp"
    say "unpacking the llhttp sources from $llhttp_source into $llhttp_dir"
    # As root apt-get warns that its own user cannot write here: true, and harmless.
    (cd "$tmp" && apt-get download -qq "$llhttp_source" 2>err) || {
        update
        (cd "$tmp" && apt-get download -qq "$llhttp_source" 2>err) ||
            fail "apt could not download $llhttp_source: $(cat "$tmp/err")"
    }
    dpkg-deb -x "$tmp"/*.deb "$tmp/files"
    mkdir -p "$llhttp_dir/src" "$llhttp_dir/include"
    cp "$tmp"/files/usr/share/llhttp/{api,http,llhttp}.c "$llhttp_dir/src/"
    # The header last: it is what says that the folder is complete.
    cp "$tmp/files/usr/share/include/llhttp/llhttp.h" "$llhttp_dir/include/"
}

mkdir -p "$(dirname "$fragment")"
if command -v dpkg-query >/dev/null; then
    missing=()
    for p; do
        installed "$p" || missing+=("$p")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        install "${missing[@]}"
    fi
else
    say "no dpkg here. Needed, under your system's names: $* $llhttp_dev"
fi

if [ ! -e /usr/include/llhttp.h ] && [ ! -e "$llhttp_dir/include/llhttp.h" ]; then
    command -v apt-get >/dev/null || fail "no llhttp.h in /usr/include and no apt to fetch it with"
    known "$llhttp_dev" || known "$llhttp_source" || update
    if known "$llhttp_dev"; then
        install "$llhttp_dev"
    else
        unpack_llhttp
    fi
fi

{
    echo "# written by make deps"
    if [ -e /usr/include/llhttp.h ]; then
        echo "LLHTTP_LIBS := -lllhttp"
    else
        echo "LLHTTP_DIR := $llhttp_dir"
    fi
} >"$fragment.$$"
mv "$fragment.$$" "$fragment"
