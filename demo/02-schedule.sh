#!/usr/bin/env bash
# A call with a due time waits for it: never early, and how late is on record.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

due=$(in_seconds 5)
step "Submit a call for 5 seconds from now, $due"
show POST "$CALLS" '{"name":"in five seconds","dueAt":"'"$due"'","requestSpec":{"method":"GET","url":"'"$ECHO_URL"'/echo"}}'
expect 'status' "$STATUS" 202
call=$BASE_URL$(header Location)

step 'Until then it waits'
sleep 2
show GET "$call"
expect 'call after 2 seconds' "$(field .status)" Scheduled
expect 'attempt after 2 seconds' "$(field .attempt)" null

step 'Then it is performed'
wait_until_ended "$call"
show GET "$call"
expect 'call' "$(field .status)" Succeeded
due=$(field .dueAt)
started=$(field .attempt.startedAt)
# Both are UTC in one format, so the order of the texts is the order of the times.
[[ ! $started < $due ]] || fail "early: due $due, started $started"
ok "not early: due $due, started $started"
lateness=$(field .latenessMs)
[[ $lateness -ge 0 ]] || fail "sent $lateness ms after the due time"
ok "lateness: $lateness ms from the due time to the send"
