#!/bin/bash
# The demo: one sluice, two rollouts, live traffic.
#
# First a healthy version goes all the way: chat 2.1.0 gets 10, 25, 50 and 100 percent of the requests
# and is promoted. Then a version breaks under load: classify 1.5.0 answers well for a few seconds,
# begins to fail a fifth of its requests, loses its traffic at once, is asked again twice and, since it
# fails each time, taken back by itself.
#
#   examples/demo/run.sh [FOLDER WITH THE PROGRAMS]     KEEP=1: leave everything up at the end
#
# Needs bash, coreutils, curl and our own programs. Leaves nothing running; exits 0 only when both
# rollouts went as they must.
set -uo pipefail
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/../.." || exit 1
BIN=${1:-build/release}
KEEP=${KEEP:-}

# --- the stage -----------------------------------------------------------------------------------

tmp=$(mktemp -d "${TMPDIR:-/tmp}/sluice-demo-XXXXXX")
pids=()
watching=yes
[ -t 1 ] || watching=no

if [ $watching = yes ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' yellow=$'\e[33m' plain=$'\e[0m'
else
    bold='' dim='' red='' green='' yellow='' plain=''
fi

cleanup() {
    trap '' INT TERM
    if [ ${#pids[@]} -gt 0 ]; then
        kill "${pids[@]}" 2>/dev/null
        wait "${pids[@]}" 2>/dev/null
    fi
    [ $watching = no ] || printf '\e[?25h'
    rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '%s\n' "$*"; }
title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
fail() {
    printf '%sdemo: %s%s\n' "$red" "$*" "$plain" >&2
    [ ! -s "$tmp/sluice.log" ] || tail -n 15 "$tmp/sluice.log" >&2
    exit 1
}

start() { # start NAME COMMAND...: in the background, its output in a file
    local name=$1
    shift
    : >"$tmp/$name.out" >"$tmp/$name.log"
    "$@" >"$tmp/$name.out" 2>"$tmp/$name.log" </dev/null &
    pids+=($!)
}

# said NAME PATTERN: what a program printed as the first group of PATTERN, within ten seconds.
said() {
    local i text
    for ((i = 0; i < 200; i++)); do
        text=$(sed -n "s#.*$2.*#\1#p" "$tmp/$1.out" "$tmp/$1.log" | head -n 1)
        [ -z "$text" ] || break
        kill -0 "${pids[-1]}" 2>/dev/null || break
        sleep 0.05
    done
    printf '%s' "$text"
}

for program in sluice model-server traffic; do
    [ -x "$BIN/$program" ] || fail "$BIN/$program is not there: run make"
done

# --- the cast ------------------------------------------------------------------------------------

# model NAME VERSION FAULTS: starts a model server on a free port; its address in the variable NAME.
model() {
    local address
    start "$1" "$BIN/model-server" --listen 127.0.0.1:0 --version "$2" --control "$3"
    address=$(said "$1" 'listening \(.*\)')
    [ -n "$address" ] || fail "the model server $2 did not start: $(cat "$tmp/$1.log")"
    printf -v "$1" '%s' "$address"
}
steady='{"latency_ms": 12, "latency_spread_ms": 6, "token_delay_ms": 1}'
model chat_stable 2.0.0 "$steady"
model chat_canary 2.1.0 "$steady"
model classify_stable 1.4.0 "$steady"
model classify_canary 1.5.0 "$steady"

cat >"$tmp/sluice.yaml" <<END
proxy: {listen: [{address: 127.0.0.1:0}]}
controller: {admin: 127.0.0.1:0}
END
cat >"$tmp/chat.yaml" <<END
rollout: chat
match: {paths: [/v1/]}
stable: {version: "2.0.0", endpoints: [http://$chat_stable]}
canary: {version: "2.1.0", endpoints: [http://$chat_canary]}
steps:
  - {weight: 10, hold: 5s}
  - {weight: 25, hold: 5s}
  - {weight: 50, hold: 5s}
  - {weight: 100, hold: 5s}
END
cat >"$tmp/classify.yaml" <<END
rollout: classify
start: manual
match: {paths: [/predict]}
stable: {version: "1.4.0", endpoints: [http://$classify_stable]}
canary: {version: "1.5.0", endpoints: [http://$classify_canary]}
analysis:
  # The default asks again after 30 s and 2 min, which is better and slower to watch.
  burst_guard: {confirm: [2s, 3s]}
steps:
  - {weight: 10, hold: 60s}
  - {weight: 50, hold: 60s}
  - {weight: 100, hold: 60s}
END

start sluice "$BIN/sluice" run "$tmp/sluice.yaml" "$tmp/chat.yaml" "$tmp/classify.yaml"
sluice_pid=${pids[-1]}
proxy=$(said sluice 'proxy.listening address=\([^ ]*\)')
export SLUICE_ADMIN
SLUICE_ADMIN=$(said sluice 'admin.listening url=\([^ ]*\)')
[ -n "$proxy" ] && [ -n "$SLUICE_ADMIN" ] || fail "sluice did not start"

# --- watching ------------------------------------------------------------------------------------

field() { # field NAME: of the document in $tmp/doc, top level
    sed -n "s/^  \"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$tmp/doc"
}
canary_traffic() { # canary_traffic NAME: a number of traffic.canary
    sed -n '/^  "traffic"/,/^  }/p' "$tmp/doc" | sed -n '/^    "canary"/,/^    }/p' |
        sed -n "s/^      \"$1\": \([0-9.]*\),\{0,1\}\$/\1/p"
}

drawn=0
draw() { # the status page over its old self
    local line columns
    read -r _ columns < <(stty size </dev/tty 2>/dev/null)
    [ "${columns:-0}" -gt 0 ] || columns=80
    [ $drawn -eq 0 ] || printf '\e[%dA' "$drawn"
    drawn=0
    while IFS= read -r line; do
        line=${line:0:columns-1}
        line=${line//progressing/$green${bold}progressing$plain}
        line=${line//promoted/$green${bold}promoted$plain}
        line=${line//rolled_back/$red${bold}rolled_back$plain}
        line=${line// fail / ${red}fail$plain }
        printf '%s\e[K\n' "$line"
        drawn=$((drawn + 1))
    done
    printf '\e[J'
}

# follow NAME GOAL SECONDS EVERY [EACH]: shows the rollout until its phase is GOAL (0), it ended another
# way (1) or time is up (2). Without a terminal: a line per change, or per second when EVERY is "second".
# EACH is a function called on every look; what it puts into `note` is shown, too.
note=
follow() {
    local name=$1 goal=$2 limit=$3 every=$4 each=${5:-:} began=$SECONDS shown='' line phase now
    drawn=0
    [ $watching = no ] || printf '\e[?25l'
    while :; do
        "$BIN/sluice" status "$name" -o json >"$tmp/doc" 2>"$tmp/err" || fail "$(cat "$tmp/err")"
        phase=$(field phase)
        if [ $watching = yes ]; then
            "$BIN/sluice" status "$name" | sed '/^  last /d' >"$tmp/page"
            [ -z "$note" ] || say "  $note" >>"$tmp/page"
            draw <"$tmp/page"
        else
            line="$phase, step $(field step) of $(field steps), $(field weight) % to $(field canary)"
            now=$line
            if [ "$every" = second ]; then
                now="$line, $SECONDS"
                line="$line; of $(canary_traffic requests) canary requests $(canary_traffic errors) failed"
            fi
            [ "$now" = "$shown" ] || printf '%4d s  %s: %s\n' $SECONDS "$name" "$line"
            shown=$now
        fi
        $each
        case $phase in
        "$goal") break ;;
        promoted | rolled_back) return 1 ;;
        esac
        kill -0 "$sluice_pid" 2>/dev/null || fail "sluice ended"
        [ $((SECONDS - began)) -lt "$limit" ] || return 2
        sleep 0.4
    done
    [ $watching = no ] || printf '\e[?25h'
    return 0
}

# --- the play ------------------------------------------------------------------------------------

traffic() { # traffic NAME MIX: 200 requests a second until it is told to stop; report in NAME.json
    start "$1" "$BIN/traffic" --url "http://$proxy" --rate 200 --duration "${3:-10m}" --mix "$2" \
        --json "$tmp/$1.json" --quiet
}
stop_traffic() { # stop_traffic PID: it then writes its report
    kill "$1" 2>/dev/null
    wait "$1" 2>/dev/null
}
report() { # report NAME FIELD: a number of the report
    sed -n "s/^ \"$2\": \([0-9.]*\),\{0,1\}\$/\1/p" "$tmp/$1.json"
}
report_status() { # report_status NAME STATUS: how many answers had it
    local n
    n=$(sed -n '/^ "statuses"/,/^ }/p' "$tmp/$1.json" |
        sed -n "s/^  \"$2\": \([0-9]*\),\{0,1\}\$/\1/p")
    printf '%s' "${n:-0}"
}

say "${bold}sluice demo$plain: live traffic, two rollouts, nobody at the wheel."
say "${dim}clients use http://$proxy, the admin API is $SLUICE_ADMIN$plain"

title "1  A healthy version: chat 2.1.0 in place of 2.0.0"
say "200 requests a second, a third of them streamed; steps of 10, 25, 50 and 100 percent, 5 s each."
say "Before 100 percent sluice wants it shown that at most 1 % of requests fail."
say
traffic chat chat=2,stream=1
chat_traffic=${pids[-1]}
follow chat promoted 90 change
case $? in
0) say "${green}promoted:$plain 2.1.0 serves everything, and nobody did anything." ;;
1) fail "chat should have been promoted" ;;
2) fail "chat was not promoted within 90 s" ;;
esac
stop_traffic "$chat_traffic"

title "2  A version that breaks under load: classify 1.5.0 in place of 1.4.0"
say "It passed its tests and answers well, but after a hundred requests a fifth of them begins to fail."
say
traffic classify predict=1
classify_traffic=${pids[-1]}
"$BIN/sluice" promote classify --reason "release 1.5.0" >"$tmp/out" 2>&1 || fail "$(cat "$tmp/out")"
say "${dim}\$ sluice promote classify --reason \"release 1.5.0\"$plain"
decided() { # decided NAME: of the last decision in $tmp/doc
    sed -n '/^  "decision"/,/^  }/p' "$tmp/doc" |
        sed -n "s/^    \"$1\": \"\{0,1\}\(.*[^\",]\)\"\{0,1\},\{0,1\}\$/\1/p" | head -n 1
}
# Once the canary has had its hundred requests, its model server is told to fail. What sluice decides
# then is told as it is decided; `seconds` is how long users met failures at first.
told='' seconds=''
break_it() {
    if [ "$(decided id)" != "$told" ]; then
        told=$(decided id)
        case $(decided type) in
        canary.retreated) [ -n "$seconds" ] || seconds=$(decided seconds_since_first_failure) ;;
        esac
        case $(decided type) in
        canary.*) [ $watching = yes ] || fold -s -w 88 <<<"$(decided reason)" | sed 's/ *$//; s/^/        /' ;;
        esac
    fi
    if [ -z "$note" ] && [ "$(canary_traffic requests)" -ge 100 ]; then
        curl -sf -o /dev/null -X PUT "http://$classify_canary/control" \
            -d '{"error_rate": 0.2, "error_status": 500}' || fail "the model server does not obey"
        note="${red}1.5.0 now fails a fifth of its requests$plain"
        [ $watching = yes ] || say "        $note"
    fi
}
follow classify rolled_back 60 second break_it
case $? in
1) fail "classify 1.5.0 should have been taken back" ;;
2) fail "classify 1.5.0 was not taken back within 60 s" ;;
esac

# A second more, to show that users are well again; then what the traffic saw.
sleep 1.5
stop_traffic "$classify_traffic"
"$BIN/sluice" status classify -o json >"$tmp/doc"
reason=$(decided reason)
failed=$(report_status classify 500)
say
say "${yellow}taken back by itself$plain"
fold -s -w 96 <<<"$reason" | sed 's/ *$//; s/^/  /'
say
say "  from the first failed request to weight 0   ${bold}$seconds s$plain"
say "  requests that users saw fail                ${bold}$failed$plain of $(report classify answered)"
say "  serving now                                 ${bold}classify $(field serving)$plain"
say "  the whole evidence                          sluice explain $(decided id)"

chat_bad=$(($(report chat answered) - $(report_status chat 200) + $(report chat cut) + $(report chat lost)))
[ "$chat_bad" -eq 0 ] || fail "$chat_bad requests of the healthy rollout failed"
[ "$failed" -gt 0 ] && [ "$(report classify lost)" -eq 0 ] || fail "the failures do not add up"

title "${green}Both went as they should: one promoted, one taken back.$plain"
if [ -n "$KEEP" ]; then
    title "Still up; Ctrl-C ends it"
    say "  requests   curl http://$proxy/predict -d '{\"text\": \"rain from the west\"}'"
    say "  status     $BIN/sluice status --watch --admin $SLUICE_ADMIN"
    say "  metrics    $SLUICE_ADMIN/metrics"
    traffic mixed predict=2,chat=1,stream=1 24h
    trap 'exit 0' INT TERM
    wait "$sluice_pid"
fi
