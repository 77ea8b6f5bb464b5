# shellcheck shell=bash
# What the numbered scripts share. They need bash (3.2 or newer), curl and awk. Where the service is:
BASE_URL=${BASE_URL:-${ESA_URL:-http://127.0.0.1:3000}}
ECHO_URL=${ECHO_URL:-http://127.0.0.1:3001}
# Whose calls: when nobody says, those of the tenant of the key in ESA_API_KEY, or of demo.
TENANT=${TENANT:-${ESA_TENANT-}}

export LC_ALL=C
# A proxy for the internet must not get in between.
export no_proxy="127.0.0.1,localhost,::1${no_proxy:+,$no_proxy}"

BASE_URL=${BASE_URL%/}
ECHO_URL=${ECHO_URL%/}
# Different in every run, so that a run finds its own calls and no earlier ones.
# shellcheck disable=SC2034
RUN=run-$(date +%s)-$$

if [[ -t 1 && -z ${NO_COLOR-} ]]; then
  BOLD=$'\e[1m' DIM=$'\e[2m' GREEN=$'\e[32m' RED=$'\e[31m' PLAIN=$'\e[0m'
else
  BOLD='' DIM='' GREEN='' RED='' PLAIN=''
fi

step() { printf '\n%s# %s%s\n' "$BOLD" "$*" "$PLAIN"; }

fail() {
  printf '%sFAILED%s  %s\n' "$RED" "$PLAIN" "$*" >&2
  exit 1
}

ok() { printf '%sok%s  %s\n' "$GREEN" "$PLAIN" "$*"; }

# expect WHAT ACTUAL WANTED
expect() {
  [[ $2 == "$3" ]] || fail "$1: expected ${3:-nothing}, got ${2:-nothing}"
  ok "$1: ${2:-nothing}"
}

# expect_within WHAT TEXT PART
expect_within() {
  [[ $2 == *"$3"* ]] || fail "$1: there is no $3 in $2"
  ok "$1"
}

# expect_without WHAT TEXT PART
expect_without() {
  [[ $2 != *"$3"* ]] || fail "$1: there is $3 in $2"
  ok "$1"
}

# show METHOD URL [BODY] [HEADER]: prints the request as a curl and as an HTTPie command, sends it, prints the answer.
show() {
  local method=$1 url=$2 body=${3-} header=${4-} curl http
  curl="curl -i $(quote "$url")" http="http $method $(quote "$url")"
  [[ $method == GET || -n $body ]] || curl+=" -X $method"
  if [[ -n ${ESA_API_KEY-} ]]; then
    # As a variable: what is printed may be seen by others.
    # shellcheck disable=SC2016
    curl+=' -H "authorization: Bearer $ESA_API_KEY"' http+=' "authorization:Bearer $ESA_API_KEY"'
  fi
  if [[ -n $header ]]; then
    curl+=" -H $(quote "$header")" http+=" $(quote "${header/: /:}")"
  fi
  if [[ -n $body ]]; then
    curl+=" -H 'content-type: application/json' \\"$'\n'"    -d $(quote "$body")" http+=" --raw $(quote "$body")"
  fi
  printf '$ %s\nor %s\n' "$curl" "$http"
  send "$@"
  printf '%s%s\n\n%s%s\n' "$DIM" "$HEAD" "$BODY" "$PLAIN"
}

# send METHOD URL [BODY] [HEADER]: sends the request without a word, for at most 10 s. Sets STATUS, HEAD, BODY, and
# FIELDS, which `field` reads.
send() {
  local answer options=(-sSi -m 10 -X "$1")
  [[ -z ${3-} ]] || options+=(-H 'content-type: application/json' -d "$3")
  [[ -z ${4-} ]] || options+=(-H "$4")
  answer=$(with_key "${options[@]}" "$2") || fail "no answer to $1 $2"
  answer=${answer//$'\r'/}$'\n'
  HEAD=${answer%%$'\n\n'*}
  BODY=${answer#"$HEAD"}
  BODY=${BODY#$'\n\n'}
  BODY=${BODY%$'\n'}
  read -r _ STATUS _ <<<"$HEAD"
  FIELDS=$(flatten <<<"$BODY") || fail "the answer to $1 $2 is not JSON: $BODY"
}

# with_key ARGUMENTS: curl, with the key, if there is one. Others see the arguments of a command, and not what it reads.
with_key() {
  if [[ -n ${ESA_API_KEY-} ]]; then
    curl -K <(printf 'header = "authorization: Bearer %s"\n' "$ESA_API_KEY") "$@"
  else
    curl "$@"
  fi
}

# header NAME: its value in the latest answer
header() {
  awk -v name="$1: " 'tolower(substr($0, 1, length(name))) == tolower(name) { print substr($0, length(name) + 1) }' \
    <<<"$HEAD"
}

# field PATH: its value in the latest answer, for example .items[0].name. Nothing when it is not there.
field() { awk -F '\t' -v path="$1" '$1 == path { print substr($0, length(path) + 2) }' <<<"$FIELDS"; }

# names_listed: the names of the calls in the latest answer, in its order
names_listed() {
  awk -F '\t' '$1 ~ /^\.items\[[0-9]+\]\.name$/ { printf "%s%s", separator, $2; separator = " " }' <<<"$FIELDS"
}

# submit BODY [HEADER]: has a call accepted without a word, for scripts about something else. Sets CALL to its address.
submit() {
  send POST "$CALLS" "$@"
  [[ $STATUS == 202 ]] || fail "the service did not accept $1: $BODY"
  # shellcheck disable=SC2034
  CALL=$BASE_URL$(field .links.self)
}

# wait_until_ended CALL: asks every 0.1 s, at most 15 s
wait_until_ended() {
  local give_up=$((SECONDS + 15))
  while send GET "$1"; do
    case $(field .status) in Succeeded | Failed | Cancelled) return ;; esac
    [[ $SECONDS -lt $give_up ]] || fail "the call has not ended after 15 seconds, it is $(field .status)"
    sleep 0.1
  done
}

# in_seconds N: the time then, as the service takes it. GNU and BSD write it differently.
in_seconds() {
  local then=$(($(date +%s) + $1))
  date -u -d "@$then" +%Y-%m-%dT%H:%M:%SZ 2>/dev/null || date -u -r "$then" +%Y-%m-%dT%H:%M:%SZ
}

# quote TEXT: as a shell reads it
quote() {
  local one="'" four="'\\''"
  case $1 in
    *[!A-Za-z0-9_./:@%+,=-]*) printf "'%s'" "${1//$one/$four}" ;;
    *) printf '%s' "$1" ;;
  esac
}

# Reads JSON and writes a line for each value in it: path, tab, value. Strings keep their escapes.
flatten() {
  awk '
    function take(pattern,   token) {
      sub(/^[ \t\n]+/, "", text)
      if (!match(text, pattern)) exit 1
      token = substr(text, 1, RLENGTH)
      text = substr(text, RLENGTH + 1)
      return token
    }
    function unquoted(token) { return token ~ /^"/ ? substr(token, 2, length(token) - 2) : token }
    function value(path,   token, count) {
      token = take("^(\"([^\"\\\\]|\\\\.)*\"|[][{}]|[-+.A-Za-z0-9]+)")
      if (token == "{") {
        if (text ~ /^[ \t\n]*}/) { print path "\t{}"; take("^}"); return }
        do { token = take("^\"([^\"\\\\]|\\\\.)*\""); take("^:"); value(path "." unquoted(token)) } while (take("^[,}]") == ",")
      } else if (token == "[") {
        if (text ~ /^[ \t\n]*]/) { print path "\t[]"; take("^]"); return }
        do value(path "[" count++ + 0 "]"); while (take("^[],]") == ",")
      } else print path "\t" unquoted(token)
    }
    { text = text $0 "\n" }
    END { if (text ~ /[^ \t\n]/) { value(""); if (text ~ /[^ \t\n]/) exit 1 } }
  '
}

need_service() {
  local start='npx -y bun@1.4.5 run start'
  [[ $(curl -s -m 5 "$BASE_URL/health/live") == '{"status":"ok"}' ]] ||
    fail "The service does not answer at $BASE_URL: start it in another terminal with '$start', or set BASE_URL."
  [[ $(curl -s -m 5 "$ECHO_URL/echo") == *'"path":"/echo"'* ]] ||
    fail "The echo target does not answer at $ECHO_URL: start the service with ECHO_PORT=3001 (where HOST is not loopback it is off), or set ECHO_URL."
}

# Sets TENANT, if it is not, and CALLS.
choose_tenant() {
  send GET "$BASE_URL/api/whoami"
  [[ $STATUS != 401 ]] ||
    fail "The service does not know who asks: set ESA_API_KEY to a key that may read and submit, and export it."
  local own
  own=$(field .tenantId)
  [[ -n $own && $own != '*' ]] || own=${TENANT:-demo}
  [[ ${TENANT:=$own} == "$own" ]] || fail "The key is for tenant $own: leave TENANT and ESA_TENANT out, or set them to it."
  CALLS=$BASE_URL/api/tenants/$TENANT/service-calls
}

need_service
choose_tenant
