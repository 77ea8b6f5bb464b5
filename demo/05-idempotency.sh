#!/usr/bin/env bash
# One idempotency key is one call, however often it is sent.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

key=order-$RUN
request='"requestSpec":{"method":"POST","url":"'"$ECHO_URL"'/echo","body":"pay"}'
step 'Submit a call with a key'
show POST "$CALLS" '{"name":"pay","tags":["'"$RUN"'"],'"$request"'}' "Idempotency-Key: $key"
expect 'status' "$STATUS" 202
id=$(field .serviceCallId)

step 'Again, as after a lost answer. The order of the fields does not matter'
show POST "$CALLS" '{'"$request"',"tags":["'"$RUN"'"],"name":"pay"}' "Idempotency-Key: $key"
expect 'status' "$STATUS" 200
expect 'Idempotency-Replayed' "$(header Idempotency-Replayed)" true
expect 'call' "$(field .serviceCallId)" "$id"

step 'The same key with other content is refused'
show POST "$CALLS" '{"name":"pay twice","tags":["'"$RUN"'"],'"$request"'}' "Idempotency-Key: $key"
expect 'status' "$STATUS" 409
expect 'problem' "$(field .type)" urn:event-service-agent:problem:idempotency-key-reused
expect 'the call that has the key' "$(field .serviceCallId)" "$id"

step 'There is one call'
show GET "$CALLS?tag=$RUN"
expect 'found' "$(names_listed)" pay
