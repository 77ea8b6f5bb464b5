#!/usr/bin/env bash
# A call without a due time is performed at once.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

step 'Submit a call. The 202 comes once it is on disk'
show POST "$CALLS" '{"name":"hello","requestSpec":{"method":"POST","url":"'"$ECHO_URL"'/echo","body":"hi"}}'
expect 'status' "$STATUS" 202
id=$(field .serviceCallId)
expect 'Location' "$(header Location)" "/api/tenants/$TENANT/service-calls/$id"
call=$BASE_URL$(header Location)

step 'A moment later it has ended'
wait_until_ended "$call"
show GET "$call"
expect 'call' "$(field .status)" Succeeded
expect 'answer of the target' "$(field .outcome.response.status)" 200
expect_within 'the target got the body' "$(field .outcome.response.bodySnippet)" '\"body\":\"hi\"'
expect_within 'and an Idempotency-Key, the id of the call' "$(field .outcome.response.bodySnippet)" \
  '\"idempotency-key\":\"'"$id"'\"'
ok "lateness: $(field .latenessMs) ms from the acceptance to the send"
