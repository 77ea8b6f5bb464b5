#!/usr/bin/env bash
# A call that has not started can be cancelled. The answer waits for the decision.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

step 'Submit a call for an hour from now'
show POST "$CALLS" '{"name":"changed my mind","dueAt":"'"$(in_seconds 3600)"'","requestSpec":{"method":"GET","url":"'"$ECHO_URL"'/echo"}}'
expect 'status' "$STATUS" 202
call=$BASE_URL$(header Location)

step 'Cancel it'
show POST "$call/cancel" '{"reason":"not needed any more"}'
expect 'status' "$STATUS" 200
expect 'call' "$(field .status)" Cancelled
expect 'reason' "$(field .outcome.reason)" 'not needed any more'
expect 'attempt' "$(field .attempt)" null

step 'Cancelling it again changes nothing'
show POST "$call/cancel"
expect 'status' "$STATUS" 200
expect 'reason' "$(field .outcome.reason)" 'not needed any more'

step 'A call that was sent stays what it is'
submit '{"name":"too late","requestSpec":{"method":"GET","url":"'"$ECHO_URL"'/echo"}}'
wait_until_ended "$CALL"
show POST "$CALL/cancel"
expect 'status' "$STATUS" 409
expect 'problem' "$(field .type)" urn:event-service-agent:problem:not-cancellable
expect 'call' "$(field .serviceCallStatus)" Succeeded
