#!/bin/sh
# What a lab's machine runs: `track.sh setup` takes a sandbox, `track.sh extend` keeps it for longer, `track.sh cleanup` gives
# it back. Needs sh and curl.
#
#   BROKER_URL        http(s)://host[:port]                                    needed
#   BROKER_API_TOKEN  the token of tracks                                      needed
#   TRACK_HOLDER      who holds the sandbox; the same holder gets the same     needed
#   TRACK_LAB         the lab's name, for operators                            optional
#   TRACK_PREFIX      only a sandbox whose name begins so                      optional
#   TRACK_FILE        where the sandbox's ids are kept                         ./sandbox.env
#   TRACK_WAIT_SEC    how long to try, and to wait in line, seconds            300
#   TRACK_LEASE_MIN   how long the lease shall last, minutes                   the broker's own
#   TRACK_EXTEND_MIN  how long it shall last from an extension on, minutes     60
#
# `setup` writes SANDBOX_ID, SANDBOX_NAME, SANDBOX_EXTERNAL_ID, SANDBOX_EXPIRES_AT and SANDBOX_HOLDER to the file, for
# `. ./sandbox.env`; `extend` puts the new end there; `cleanup` removes it. All say what they did on standard output, and what went wrong on standard
# error. Where nothing is free `setup` waits in line: who came first is served first; it leaves the line when its time is over,
# or it is told to end. The holder is the key: set-ups that are repeated get the same sandbox, and clean-ups change nothing more; one whose
# lease has ended by itself is done, too.
# Exit status: 0 done; 1 the file cannot be written, or is not ours; 2 wrong usage; 3 refused, and trying again is no use;
# 4 no answer in time; 5 no sandbox was free in time.
set -eu

say() { echo "track.sh: $1"; }
fail() { echo "track.sh: $2" >&2; exit "$1"; }

holder=${TRACK_HOLDER:-}
lab=${TRACK_LAB:-}
file=${TRACK_FILE:-./sandbox.env}
wait_sec=${TRACK_WAIT_SEC:-300}
[ -n "${BROKER_URL:-}" ] && [ -n "${BROKER_API_TOKEN:-}" ] && [ -n "$holder" ] ||
  fail 2 'BROKER_URL, BROKER_API_TOKEN and TRACK_HOLDER are needed.'
lease_min=${TRACK_LEASE_MIN:-}
extend_min=${TRACK_EXTEND_MIN:-60}
case $wait_sec in '' | *[!0-9]*) fail 2 'TRACK_WAIT_SEC must be a whole number of seconds.' ;; esac
case $lease_min in *[!0-9]* | ???????*) fail 2 'TRACK_LEASE_MIN must be a whole number of minutes.' ;; esac
case $extend_min in '' | *[!0-9]* | ???????*) fail 2 'TRACK_EXTEND_MIN must be a whole number of minutes.' ;; esac
# Each goes into a quoted line of curl's configuration, the holder into one of the file, too.
case "$BROKER_URL$BROKER_API_TOKEN$holder$lab${TRACK_PREFIX:-}" in *[\"\\]* | *'
'*) fail 2 'No value may have a quote, a backslash or a line break in it.' ;; esac
case $holder in *[!A-Za-z0-9._:@/-]*) fail 2 'TRACK_HOLDER must be of A-Z a-z 0-9 . _ : @ / -' ;; esac
url=$BROKER_URL
while case $url in */) ;; *) false ;; esac do url=${url%/}; done

umask 077
work=$(mktemp -d)
curl_pid='' in_line=''
# Whoever gives up leaves the line: the next sandbox would wait for nobody. One that is killed loses its place in a minute.
leave() {
  [ -z "$curl_pid" ] || kill "$curl_pid" 2>/dev/null || :
  [ -z "$in_line" ] || curl -s -X DELETE -K "$work/headers" --max-time 5 -o /dev/null "$url/v1/line" || :
  rm -rf "$work"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The headers go to curl by a file: arguments are there for every user of the machine to see.
{
  printf 'header = "Authorization: Bearer %s"\nheader = "X-Track-ID: %s"\n' "$BROKER_API_TOKEN" "$holder"
  [ -z "$lab" ] || printf 'header = "X-Instruqt-Track-ID: %s"\n' "$lab"
  [ -z "${TRACK_PREFIX:-}" ] || printf 'header = "X-Sandbox-Name-Prefix: %s"\n' "$TRACK_PREFIX"
} >"$work/headers"

# ask_for <minutes>: what the next post sends along.
ask_for() {
  printf 'header = "Content-Type: application/json"\ndata = "{\\"duration_seconds\\":%s}"\n' "$(($1 * 60))" >>"$work/headers"
}

# field <name>: a text or a number of the answer.
field() {
  sed -n -e 's/.*"'"$1"'":"\([^"]*\)".*/\1/p' -e t -e 's/.*"'"$1"'":\([0-9]\{1,\}\).*/\1/p' "$work/body"
}

# kept <name>: a value in the file.
kept() { sed -n "s/^$1='\([A-Za-z0-9._:@/-]*\)'\$/\1/p" "$file"; }

# A random whole number from 0 to 999, also where the shell has none.
random() { echo $((1$(od -An -N2 -tu2 /dev/urandom | tr -d ' \n') % 1000)); }

# post <path> [<code>...]: again until it works, is refused with one of the codes (status 1), or is refused for good.
# The holder is the key: nothing happens twice.
post() {
  path=$1
  shift
  ends=$(($(date +%s) + wait_sec))
  backoff=1
  while :; do
    left=$((ends - $(date +%s)))
    [ "$left" -ge 1 ] || left=1
    [ "$left" -le 30 ] || left=30
    : >"$work/body"
    # In the background: while it waits in line, this shell can be told to end.
    curl -sS -X POST -K "$work/headers" -H "Prefer: wait=$((left > 5 ? left - 5 : 0))" --connect-timeout 5 --max-time "$left" \
      -D "$work/answer" -o "$work/body" -w '%{http_code}' "$url$path" >"$work/status" 2>"$work/error" &
    curl_pid=$!
    wait "$curl_pid" && status=$(cat "$work/status") || status=000
    curl_pid=''
    for over in "$@"; do
      [ "$status" = "${over%%:*}" ] && [ "$(field code)" = "${over#*:}" ] && return 1
    done
    case $status in
      202) reason="waiting in line: place $(field position) of $(field waiting)" code=5 ;;
      2??) in_line='' && return 0 ;;
      000) reason=$(cat "$work/error") code=4 ;;
      409) reason=$(field message) code=5 ;;
      408 | 429 | 5??) reason="the broker answers $status" code=4 ;;
      *) fail 3 "refused with $status: $(field code) $(field message) (request $(field request_id))" ;;
    esac
    after=$(sed -n 's/^[Rr]etry-[Aa]fter: *\([0-9]\{1,9\}\).*/\1/p' "$work/answer" 2>/dev/null | tail -n 1)
    rm -f "$work/answer"
    pause=${after:-$backoff}
    [ $(($(date +%s) + pause)) -lt "$ends" ] || fail "$code" "given up after $wait_sec s: $reason"
    [ "$status" != 202 ] || [ "$pause" -gt 0 ] || { echo "track.sh: $reason" >&2 && continue; }
    echo "track.sh: $reason; again in $pause s" >&2
    # Up to a second more: machines that start together do not come back together.
    sleep "$pause.$(printf '%03d' "$(random)")" 2>/dev/null || sleep "$pause"
    backoff=$((backoff < 16 ? backoff * 2 : 16))
  done
}

case ${1:-} in
  setup)
    # Found out before anything is taken: a sandbox whose ids are nowhere would be nobody's to give back.
    [ ! -d "$file" ] && { echo >"$file.new" && rm -f "$file.new"; } 2>/dev/null ||
      fail 1 "$file cannot be written: set TRACK_FILE to one that can. Nothing was taken."
    [ -z "$lease_min" ] || ask_for "$lease_min"
    in_line=1
    post /v1/allocate
    id=$(field sandbox_id)
    [ -n "$id" ] || fail 4 'what answered is no broker: check BROKER_URL.'
    {
      printf "SANDBOX_ID='%s'\nSANDBOX_NAME='%s'\n" "$id" "$(field name | tr -d "'")"
      printf "SANDBOX_EXTERNAL_ID='%s'\n" "$(field external_id | tr -d "'")"
      printf "SANDBOX_EXPIRES_AT='%s'\nSANDBOX_HOLDER='%s'\n" "$(field expires_at)" "$holder"
    } >"$file.new" && mv "$file.new" "$file" ||
      fail 1 "$holder has $id, but $file cannot be written: run the set-up again, and it gets the same one."
    [ "$status" = 201 ] && did='took' || did='has already'
    say "$holder $did $(field name) ($id), for $((($(field expires_at) - $(date +%s)) / 60)) minutes"
    ;;
  extend)
    [ -f "$file" ] || fail 1 "there is no $file: run the set-up first."
    id=$(kept SANDBOX_ID)
    [ -n "$id" ] || fail 1 "$file names no sandbox."
    ask_for "$extend_min"
    post "/v1/sandboxes/$id/extend" 403:NOT_SANDBOX_OWNER 404:SANDBOX_NOT_FOUND 409:LEASE_OVER ||
      fail 3 "the lease of $id is over, and is not to be had back: run the set-up again."
    expires_at=$(field expires_at)
    [ -n "$expires_at" ] || fail 4 'what answered is no broker: check BROKER_URL.'
    sed "s/^SANDBOX_EXPIRES_AT=.*/SANDBOX_EXPIRES_AT='$expires_at'/" "$file" >"$file.new" && mv "$file.new" "$file" ||
      fail 1 "$id is extended, but $file cannot be written."
    say "$holder has $id for $(((expires_at - $(date +%s)) / 60)) minutes more"
    ;;
  cleanup)
    # A set-up that was cut short leaves no file; what it may have taken goes back by itself when its lease is over.
    if [ ! -f "$file" ]; then
      say "there is no $file, and nothing to give back"
      exit 0
    fi
    id=$(kept SANDBOX_ID)
    [ -n "$id" ] || fail 1 "$file names no sandbox."
    of=$(kept SANDBOX_HOLDER)
    # To the broker, another holder's lease looks like one that is over.
    [ "${of:-$holder}" = "$holder" ] || fail 1 "$file is of the holder $of, and TRACK_HOLDER is $holder."
    if post "/v1/sandboxes/$id/mark-for-deletion" 403:NOT_SANDBOX_OWNER 404:SANDBOX_NOT_FOUND \
      409:INVALID_STATE; then
      say "$holder gave back $id"
    else
      say "the lease of $id was over already: nothing to give back"
    fi
    rm -f "$file"
    ;;
  *) fail 2 'usage: track.sh setup|extend|cleanup' ;;
esac
