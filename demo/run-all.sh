#!/usr/bin/env bash
# Runs all demos, each against the running service. Exits with 1 when one of them fails.
set -euo pipefail
cd "$(dirname "$0")"
source ./lib.sh

summary='' failures=0
for demo in [0-9]*.sh; do
  printf '\n%s== %s%s\n' "$BOLD" "$demo" "$PLAIN"
  if bash "$demo"; then
    summary+="${GREEN}ok${PLAIN}      $demo"$'\n'
  else
    summary+="${RED}FAILED${PLAIN}  $demo"$'\n'
    failures=$((failures + 1))
  fi
done

printf '\n%s' "$summary"
if [[ $failures -gt 0 ]]; then
  printf '%s\n' "$failures failed: look for FAILED above"
  exit 1
fi
printf '%s\n' 'All demos passed.'
