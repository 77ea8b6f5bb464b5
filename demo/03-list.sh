#!/usr/bin/env bash
# The list: newest first, filtered by status, tag, due time and text, page by page.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

# submit_named NAME PATH TAGS [DUE]
submit_named() {
  local due=''
  [[ -z ${4-} ]] || due='"dueAt":"'"$4"'",'
  submit '{"name":"'"$1"'",'"$due"'"tags":['"$3"'],"requestSpec":{"method":"GET","url":"'"$ECHO_URL$2"'"}}'
}

# What waits for tomorrow must not stay behind.
waiting=''
cancel_waiting() { for CALL in $waiting; do send POST "$CALL/cancel"; done; }
trap cancel_waiting EXIT

tomorrow=$(in_seconds 86400) next_day=$(in_seconds 172800)
step "Five calls with the tag $RUN: two succeed, one fails, two wait"
submit_named a /echo "\"$RUN\",\"report\"" && wait_until_ended "$CALL"
submit_named b /echo "\"$RUN\"" && wait_until_ended "$CALL"
submit_named c /status/500 "\"$RUN\"" && wait_until_ended "$CALL"
submit_named d /echo "\"$RUN\",\"report\"" "$tomorrow" && waiting=$CALL
submit_named e /echo "\"$RUN\"" "$next_day" && waiting="$waiting $CALL"
ok 'five accepted'

step 'By tag'
show GET "$CALLS?tag=$RUN"
expect 'status' "$STATUS" 200
expect 'newest accepted first' "$(names_listed)" 'e d c b a'

step 'By two tags: calls with both'
show GET "$CALLS?tag=$RUN&tag=report"
expect 'found' "$(names_listed)" 'd a'

step 'By status: either of two'
show GET "$CALLS?tag=$RUN&status=Succeeded&status=Failed"
expect 'found' "$(names_listed)" 'c b a'

step 'By due time: from is part of the range, to is not'
show GET "$CALLS?tag=$RUN&from=$tomorrow&to=$next_day"
expect 'found' "$(names_listed)" 'd'

step 'By text in the name or the URL'
show GET "$CALLS?tag=$RUN&q=STATUS/500"
expect 'found' "$(names_listed)" 'c'

step 'Page by page, two calls each'
show GET "$CALLS?tag=$RUN&limit=2"
expect 'first page' "$(names_listed)" 'e d'
expect_within 'Link leads to the next page' "$(header Link)" 'rel="next"'
show GET "$CALLS?tag=$RUN&limit=2&cursor=$(field .next)"
expect 'second page' "$(names_listed)" 'c b'
show GET "$CALLS?tag=$RUN&limit=2&cursor=$(field .next)"
expect 'third page' "$(names_listed)" 'a'
expect 'page after the last' "$(field .next)" null
expect 'Link on the last page' "$(header Link)" ''
