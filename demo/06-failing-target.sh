#!/usr/bin/env bash
# A failed call says why, and whether the request was sent: no, maybe or yes.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

# show_failure PATH [FIELDS]: has the target called at PATH and shows what became of it
show_failure() {
  show POST "$CALLS" '{"name":"fails",'"${2-}"'"requestSpec":{"method":"POST","url":"'"$ECHO_URL$1"'"}}'
  expect 'status' "$STATUS" 202
  local call
  call=$BASE_URL$(header Location)
  wait_until_ended "$call"
  show GET "$call"
  expect 'call' "$(field .status)" Failed
}

step 'The target answers 503'
show_failure /status/503
expect 'kind' "$(field .outcome.error.kind)" HttpStatus
expect 'sent' "$(field .outcome.error.sent)" yes
expect 'answer of the target' "$(field .outcome.error.status)" 503

step 'The target is too slow'
show_failure /slow/3000 '"timeoutMs":500,'
expect 'kind' "$(field .outcome.error.kind)" Timeout
expect 'sent' "$(field .outcome.error.sent)" maybe

step 'The target is a closed port of the machine itself'
show POST "$CALLS" '{"name":"goes nowhere","requestSpec":{"method":"POST","url":"http://127.0.0.1:9/"}}'
if [[ $STATUS == 422 ]]; then
  expect 'refused, because private addresses are closed' "$(field '.errors[0].pointer')" '#/requestSpec/url'
else
  # Whoever runs this service has opened it with EGRESS_ALLOW.
  expect 'status' "$STATUS" 202
  call=$BASE_URL$(header Location)
  wait_until_ended "$call"
  show GET "$call"
  expect 'kind' "$(field .outcome.error.kind)" ConnectionFailed
  expect 'sent' "$(field .outcome.error.sent)" no
  expect 'lateness' "$(field .latenessMs)" null
fi
