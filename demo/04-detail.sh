#!/usr/bin/env bash
# The detail of a call: what was asked, without its secrets, every step with its time, and how it ended.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

step 'Submit a call that has secrets: a header and a query parameter'
show POST "$CALLS" '{"name":"with secrets","timeoutMs":5000,"requestSpec":{"method":"POST","url":"'"$ECHO_URL"'/status/204?token=s3cret-query","headers":{"authorization":"Bearer s3cret-header","content-type":"text/plain"},"body":"s3cret-body"}}'
expect 'status' "$STATUS" 202
id=$(field .serviceCallId)
call=$BASE_URL$(header Location)
wait_until_ended "$call"

step 'Its detail'
show GET "$call"
expect 'status' "$STATUS" 200
expect 'history' \
  "$(field '.history[0].status') $(field '.history[1].status') $(field '.history[2].status') $(field '.history[3].status')" \
  'Submitted Scheduled Running Succeeded'
expect 'attempt' "$(field .attempt.number)" 1
expect 'outcome' "$(field .outcome.type) $(field .outcome.response.status)" 'Succeeded 204'
expect 'problems' "$(field .problems)" '[]'
expect 'shown of Authorization' "$(field .request.headers.authorization)" '[redacted]'
expect 'shown of Content-Type' "$(field .request.headers.content-type)" 'text/plain'
expect 'shown of the body' "$(field .request.bodyBytes) bytes" '11 bytes'
expect_without 'no secret in it' "$BODY" s3cret

step 'To another tenant it does not exist'
show GET "$BASE_URL/api/tenants/another-tenant/service-calls/$id"
expect 'status' "$STATUS" 404
expect 'problem' "$(field .type)" urn:event-service-agent:problem:service-call-not-found
