#!/bin/bash
# The part of `make lint` that looks at each file: formatting, headers alone, cppcheck, scripts.
# CC, CPPFLAGS and WARN come from the Makefile.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

files() { # tracked files that match, or all of them outside a repository
    git ls-files -- "$@" 2>/dev/null || find . -type f -name "$1" -not -path './build/*'
}
wrong=0
check() {
    local name=$1
    shift
    if "$@"; then
        echo "lint: $name: ok"
    else
        echo "lint: $name: FAILED"
        wrong=1
    fi
}

mapfile -t c_files < <(files '*.[ch]')
mapfile -t headers < <(files '*.h')
mapfile -t scripts < <(files '*.sh' && [ ! -e .ci/run ] || echo .ci/run)
mapfile -t python < <(files '*.py')

headers_alone() {
    local ok=0 header
    eval "local flags=($CPPFLAGS $WARN)"
    for header in "${headers[@]}"; do
        # A C file of one line, so that nothing helps the header but itself.
        echo "#include \"$header\"" |
            "${CC:-gcc}" -std=c11 "${flags[@]}" -x c -fsyntax-only - || ok=1
    done
    return $ok
}
static_analysis() {
    local sources=() file
    for file in "${c_files[@]}"; do
        case $file in
        *.h | tests/unit/* | tests/fuzz/*) ;; # headers come with the sources that use them
        *) sources+=("$file") ;;
        esac
    done
    cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
        --error-exitcode=1 -j "$(nproc)" -I . -D_GNU_SOURCE -DSLUICE_VERSION='"0"' \
        --suppress=missingIncludeSystem --suppress=missingInclude --suppress=unmatchedSuppression \
        --suppress=funcArgOrderDifferent --suppress=varFuncNullUB "${sources[@]}"
}
each() { # every file with the command
    local ok=0 file command=$1
    shift
    for file; do
        $command "$file" || ok=1
    done
    return $ok
}
compile_python() {
    /usr/bin/python3 -c 'import ast, sys
for name in sys.argv[1:]:
    ast.parse(open(name).read(), name)' "$@"
}

check formatting clang-format --dry-run -Werror "${c_files[@]}"
check "headers alone" headers_alone
check cppcheck static_analysis
check scripts each "bash -n" "${scripts[@]}"
check python compile_python "${python[@]}"
exit $wrong
