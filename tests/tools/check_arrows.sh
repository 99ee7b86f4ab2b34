#!/bin/bash
# Which folder may include which: prints every include that points the wrong way and exits 1.
#
# proxy/ and controller/ meet only in values (analysis/), so that a proxy needs no controller to keep
# serving; policies/ and analysis/ are pure, so that simulation and replay run the same code.
set -euo pipefail
cd "$(dirname "$0")/../.."

declare -A may=(
    [base]="base"
    [net]="base net"
    [policies]="base policies"
    [analysis]="base policies analysis"
    [health]="base net policies health"
    [proxy]="base net policies analysis health proxy"
    [controller]="base net policies analysis health controller"
    [admin]="base net policies analysis health controller admin"
    [cli]="base net policies analysis health proxy controller admin cli"
    [examples]="base net examples"
)
pure="base policies analysis" # no event loop: time and bytes come in as arguments

wrong=0
while IFS=: read -r file line include; do
    folder=${file%%/*}
    target=${include#*\"}
    target=${target%%\"*}
    case " ${may[$folder]} " in
    *" ${target%%/*} "*) ;;
    *)
        echo "$file:$line: $folder/ may not include \"$target\" (it may use: ${may[$folder]})"
        wrong=1
        ;;
    esac
done < <(for folder in "${!may[@]}"; do
    [ ! -d "$folder" ] || grep -rn --include='*.[ch]' '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$folder" || true
done)

for folder in $pure; do
    [ -d "$folder" ] || continue
    if grep -rnE --include='*.[ch]' '^[[:space:]]*#[[:space:]]*include[[:space:]]*<(uv|curl/|openssl/)' "$folder"; then
        echo "$folder/ is pure: it uses no event loop and no network library"
        wrong=1
    fi
done
exit $wrong
