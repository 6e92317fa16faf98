#!/bin/sh
# What a lab's machine runs: `track.sh setup` takes a sandbox, `track.sh cleanup` gives it back. Needs sh and curl.
#
#   BROKER_URL        http(s)://host[:port]                                    needed
#   BROKER_API_TOKEN  the token of tracks                                      needed
#   TRACK_HOLDER      who holds the sandbox; the same holder gets the same     needed
#   TRACK_LAB         the lab's name, for operators                            optional
#   TRACK_PREFIX      only a sandbox whose name begins so                      optional
#   TRACK_FILE        where the sandbox's ids are kept                         ./sandbox.env
#   TRACK_WAIT_SEC    how long to try, seconds                                 300
#
# `setup` writes SANDBOX_ID, SANDBOX_NAME, SANDBOX_EXTERNAL_ID and SANDBOX_EXPIRES_AT to the file, for
# `. ./sandbox.env`; `cleanup` removes it.
# Exit status: 0 done; 1 the file is not ours; 2 wrong usage; 3 refused, and trying again is no use; 4 no answer in
# time; 5 no sandbox was free in time.
set -eu

fail() { echo "track.sh: $2" >&2; exit "$1"; }

holder=${TRACK_HOLDER:-}
lab=${TRACK_LAB:-}
file=${TRACK_FILE:-./sandbox.env}
wait_sec=${TRACK_WAIT_SEC:-300}
[ -n "${BROKER_URL:-}" ] && [ -n "${BROKER_API_TOKEN:-}" ] && [ -n "$holder" ] ||
  fail 2 'BROKER_URL, BROKER_API_TOKEN and TRACK_HOLDER are needed.'
case $wait_sec in '' | *[!0-9]*) fail 2 'TRACK_WAIT_SEC must be a whole number of seconds.' ;; esac
# Each goes into a quoted line of curl's configuration.
case "$BROKER_URL$BROKER_API_TOKEN$holder$lab${TRACK_PREFIX:-}" in *[\"\\]* | *'
'*) fail 2 'No value may have a quote, a backslash or a line break in it.' ;; esac

umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The headers go to curl by a file: arguments are there for every user of the machine to see.
{
  printf 'header = "Authorization: Bearer %s"\nheader = "X-Track-ID: %s"\n' "$BROKER_API_TOKEN" "$holder"
  [ -z "$lab" ] || printf 'header = "X-Instruqt-Track-ID: %s"\n' "$lab"
  [ -z "${TRACK_PREFIX:-}" ] || printf 'header = "X-Sandbox-Name-Prefix: %s"\n' "$TRACK_PREFIX"
} >"$work/headers"

# field <name>: a text or a number of the answer.
field() {
  sed -n -e 's/.*"'"$1"'":"\([^"]*\)".*/\1/p' -e t -e 's/.*"'"$1"'":\([0-9]\{1,\}\).*/\1/p' "$work/body"
}

# A random whole number from 0 to 999, also where the shell has none.
random() { echo $((1$(od -An -N2 -tu2 /dev/urandom | tr -d ' \n') % 1000)); }

# post <path>: again until it works or is refused for good. The holder is the key: nothing happens twice.
post() {
  ends=$(($(date +%s) + wait_sec))
  backoff=1
  while :; do
    left=$((ends - $(date +%s)))
    [ "$left" -ge 1 ] || left=1
    [ "$left" -le 30 ] || left=30
    status=$(curl -sS -X POST -K "$work/headers" --connect-timeout 5 --max-time "$left" -D "$work/answer" \
      -o "$work/body" -w '%{http_code}' "$BROKER_URL$1" 2>"$work/error") || status=000
    case $status in
      2??) return 0 ;;
      000) reason=$(cat "$work/error") code=4 ;;
      409) reason=$(field message) code=5 ;;
      408 | 429 | 5??) reason="the broker answers $status" code=4 ;;
      *) fail 3 "refused with $status: $(field code) $(field message) (request $(field request_id))" ;;
    esac
    after=$(sed -n 's/^[Rr]etry-[Aa]fter: *\([0-9]\{1,9\}\).*/\1/p' "$work/answer" 2>/dev/null | tail -n 1)
    rm -f "$work/answer"
    pause=${after:-$backoff}
    [ $(($(date +%s) + pause)) -lt "$ends" ] || fail "$code" "given up after $wait_sec s: $reason"
    echo "track.sh: $reason; again in $pause s" >&2
    # Up to a second more: machines that start together do not come back together.
    sleep "$pause.$(printf '%03d' "$(random)")" 2>/dev/null || sleep "$pause"
    backoff=$((backoff < 16 ? backoff * 2 : 16))
  done
}

case ${1:-} in
  setup)
    post /v1/allocate
    [ -n "$(field sandbox_id)" ] || fail 4 'what answered is no broker: check BROKER_URL.'
    {
      printf "SANDBOX_ID='%s'\nSANDBOX_NAME='%s'\n" "$(field sandbox_id)" "$(field name | tr -d "'")"
      printf "SANDBOX_EXTERNAL_ID='%s'\n" "$(field external_id | tr -d "'")"
      printf "SANDBOX_EXPIRES_AT='%s'\n" "$(field expires_at)"
    } >"$file.new"
    mv "$file.new" "$file"
    ;;
  cleanup)
    # A set-up that was cut short leaves no file; what it may have taken goes back by itself when its lease is over.
    if [ ! -f "$file" ]; then
      echo "track.sh: there is no $file, and nothing to give back" >&2
      exit 0
    fi
    id=$(sed -n "s/^SANDBOX_ID='\([A-Za-z0-9._:@-]*\)'\$/\1/p" "$file")
    [ -n "$id" ] || fail 1 "$file names no sandbox."
    post "/v1/sandboxes/$id/mark-for-deletion"
    rm -f "$file"
    ;;
  *) fail 2 'usage: track.sh setup|cleanup' ;;
esac
