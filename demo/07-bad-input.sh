#!/usr/bin/env bash
# Wrong input is refused with everything that is wrong with it, and nothing of it is stored.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

# expect_error POINTER: the latest answer says what is wrong there
expect_error() {
  expect_within "says what is wrong with $1" "$BODY" '"pointer":"'"$1"'"'
}

step 'Six mistakes at once'
show POST "$CALLS" '{"name":"'"$RUN"'","dueAt":"2026-02-30T09:00:00Z","timeoutMs":0,"retries":3,"requestSpec":{"method":"FETCH","url":"ftp://example.com/","headers":{"Host":"example.org"}}}'
expect 'status' "$STATUS" 422
expect 'type of the answer' "$(header Content-Type)" application/problem+json
expect_error '#/dueAt'
expect_error '#/timeoutMs'
expect_error '#/retries'
expect_error '#/requestSpec/method'
expect_error '#/requestSpec/url'
expect_error '#/requestSpec/headers/Host'

step 'A body that is an object: it has to be the text to send'
show POST "$CALLS" '{"name":"'"$RUN"'","requestSpec":{"method":"POST","url":"https://example.com/","body":{"a":1}}}'
expect 'status' "$STATUS" 422
expect_error '#/requestSpec/body'

step 'The address of a cloud'"'"'s metadata service, in disguise'
show POST "$CALLS" '{"name":"'"$RUN"'","requestSpec":{"method":"GET","url":"http://0xa9fea9fe/latest/meta-data/"}}'
expect 'status' "$STATUS" 422
expect_error '#/requestSpec/url'

step 'No JSON'
show POST "$CALLS" '{"name":"'"$RUN"'",'
expect 'status' "$STATUS" 400

step 'Nothing of it was stored'
show GET "$CALLS?q=$RUN"
expect 'status' "$STATUS" 200
expect 'found' "$(field .items)" '[]'
