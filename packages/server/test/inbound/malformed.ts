import { callsOf } from "../client.ts"
import type { Random } from "../random.ts"

/** One character for each byte. */
type Bytes = string
type Make = (random: Random) => Bytes

const HOST = "Host: localhost\r\n"
const LIVE = `GET /health/live HTTP/1.1\r\n${HOST}`
/** What must not be answered: it stands where only one of two readings of the bytes finds a request. */
const HIDDEN = `${LIVE}\r\n`
const SUBMISSION = '{"name":"smuggled","requestSpec":{"method":"POST","url":"https://example.com/"}}'

const get = (headers: string): Bytes => `${LIVE}${headers}\r\n`
const post = (headers: string, body: string): Bytes =>
  `POST ${callsOf("acme")} HTTP/1.1\r\n${HOST}Content-Type: application/json\r\n${headers}\r\n${body}`
const chunked = (body: string, headers = ""): Bytes => post(`${headers}Transfer-Encoding: chunked\r\n`, body)
const hex = (text: string): string => text.length.toString(16)
const control = (random: Random): string => String.fromCharCode(random.pick([0, 1, 8, 11, 12, 27, 31]))
const garbage = (random: Random, length: number): string =>
  Array.from({ length }, () => String.fromCharCode(random.int(256))).join("")

/** Not HTTP, or HTTP that two programs could read in two ways. All of it has to be refused, and the connection closed. */
export const REFUSED: Readonly<Record<string, Make>> = {
  "bytes that are nothing": (random) => `${garbage(random, 1 + random.int(200))}\r\n\r\n`,
  "a TLS hello": (random) => `\u0016\u0003\u0001\u0002\u0000\u0001${garbage(random, 200)}\r\n\r\n`,
  "the preface of HTTP/2": () => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0",
  "another version": (random) =>
    `GET / ${random.pick(["HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "http/1.1", "HTTP/1.1x", ""])}\r\n${HOST}\r\n`,
  "a method that nobody knows": (random) =>
    `${random.pick(["FOO", "get", "POST\0", "G ET", ""])} / HTTP/1.1\r\n${HOST}\r\n`,
  "two blanks": () => `GET  / HTTP/1.1\r\n${HOST}\r\n`,
  "tabs for blanks": () => `GET\t/\tHTTP/1.1\r\n${HOST}\r\n`,
  "a blank in the address": () => `GET /a b HTTP/1.1\r\n${HOST}\r\n`,
  "a control character in the address": (random) => `GET /${control(random)} HTTP/1.1\r\n${HOST}\r\n`,
  "an address that is none": (random) =>
    `GET ${random.pick(["*", "x", "localhost:80", "ftp://localhost/", "?x"])} HTTP/1.1\r\n${HOST}\r\n`,
  "no Host": () => "GET /health/live HTTP/1.1\r\n\r\n",
  "lines that end without carriage return": () => "GET /health/live HTTP/1.1\nHost: localhost\n\n",
  "a header line that ends without carriage return": (random) => get(`X-A: b\n${random.pick(["", "X-B: c\r\n"])}`),
  "a carriage return inside of a line": () => get("X-A: b\rX-B: c\r\n"),
  "a folded header": (random) => get(`X-A: b\r\n${random.pick([" ", "\t"])}c\r\n`),
  "a folded Host": () => "GET /health/live HTTP/1.1\r\nHost: localhost\r\n .evil.example\r\n\r\n",
  "a control character in a header": (random) => get(`X-A: a${control(random)}b\r\n`),
  "a header name with a control character": (random) => get(`X${control(random)}A: b\r\n`),
  "a blank before the colon": (random) => get(`X-A${random.pick([" ", "\t"])}: b\r\n`),
  "a header without name": () => get(": b\r\n"),
  "a header without colon": () => get("X-A\r\n"),
  "a huge header": (random) => get(`X-A: ${"a".repeat(20_000 + random.int(200_000))}\r\n`),
  "endless headers": (random) =>
    LIVE + Array.from({ length: 1_000 + random.int(5_000) }, (_, n) => `X-${n}: a\r\n`).join(""),
  "a huge address": (random) => `GET /${"a".repeat(20_000 + random.int(200_000))} HTTP/1.1\r\n${HOST}\r\n`,
  "two lengths": () => post(`Content-Length: 4\r\nContent-Length: ${SUBMISSION.length}\r\n`, SUBMISSION + HIDDEN),
  "a list of lengths": (random) =>
    post(`Content-Length: ${random.pick(["4, 80", "80, 80", "80,"])}\r\n`, SUBMISSION + HIDDEN),
  "a length that is no number": (random) =>
    post(
      `Content-Length: ${random.pick(["+80", "-1", "0x50", "8 0", "80.0", "", "1e2", "\u00b2", "99999999999999999999999"])}\r\n`,
      SUBMISSION + HIDDEN
    ),
  "a length that overflows": (random) =>
    post(
      `Content-Length: ${random.pick(["9007199254740993", "9223372036854775808", "4294967376000"])}\r\n`,
      SUBMISSION + HIDDEN
    ),
  "the same length twice": () =>
    post(`Content-Length: ${SUBMISSION.length}\r\nContent-Length: ${SUBMISSION.length}\r\n`, SUBMISSION + HIDDEN),
  "a length and chunks": () => chunked(`0\r\n\r\n${HIDDEN}`, "Content-Length: 5\r\n"),
  "chunks and a length": () => post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", `0\r\n\r\n${HIDDEN}`),
  "two encodings": (random) =>
    post(
      `Transfer-Encoding: ${random.pick(["chunked", "identity", "x"])}\r\nTransfer-Encoding: chunked\r\n`,
      `0\r\n\r\n${HIDDEN}`
    ),
  "an encoding that is not chunked": (random) => {
    const encodings = [
      "identity",
      "gzip, chunked",
      "chunked, identity",
      "xchunked",
      '"chunked"',
      "\u000bchunked",
      "chunked;x",
      "chunked,",
      ",chunked",
      ""
    ]
    return post(
      `Transfer-Encoding: ${random.pick(encodings)}\r\n${random.pick(["", "Content-Length: 5\r\n"])}`,
      `0\r\n\r\n${HIDDEN}`
    )
  },
  "an encoding with a blank before the colon": () =>
    post("Transfer-Encoding : chunked\r\nContent-Length: 5\r\n", `0\r\n\r\n${HIDDEN}`),
  "an encoding in HTTP/1.0": () => chunked(`0\r\n\r\n${HIDDEN}`).replace("HTTP/1.1", "HTTP/1.0"),
  "a chunk whose length is none": (random) =>
    chunked(
      `${random.pick(["-1", "0x50", "zz", "+50", "50 ", " 50", "fffffffffffffffff", ""])}\r\n${SUBMISSION}\r\n0\r\n\r\n${HIDDEN}`
    ),
  "a chunk line that ends without carriage return": () =>
    chunked(`${hex(SUBMISSION)}\n${SUBMISSION}\r\n0\r\n\r\n${HIDDEN}`),
  "a line feed in a chunk's extension": () => chunked(`${hex(SUBMISSION)};a\nb\r\n${SUBMISSION}\r\n0\r\n\r\n${HIDDEN}`),
  "a chunk that goes on after its end": (random) =>
    chunked(`${hex(SUBMISSION)}\r\n${SUBMISSION}${random.pick(["\n", "xx", "\r", "\r\r"])}0\r\n\r\n${HIDDEN}`),
  "a chunk with an endless extension": () => chunked(`1;${"a".repeat(100_000)}`),
  trailers: () => chunked(`2\r\n{}\r\n0\r\nHost: evil.example\r\nContent-Length: 9\r\n\r\n${HIDDEN}`)
}

const CLOSE = "Connection: close\r\n"

export const UNREAD = "a body that nobody reads, with a request in it"

/** Unusual, and clear. What is answered, one after the other. */
export const ANSWERED: Readonly<Record<string, readonly [make: Make, ...statuses: ReadonlyArray<number>]>> = {
  "HTTP/1.0": [() => `GET /health/live HTTP/1.0\r\n${HOST}\r\n`, 200],
  "HTTP/1.0 without Host": [() => "GET /health/live HTTP/1.0\r\n\r\n", 421],
  "two Hosts": [(random) => get(`Host: ${random.pick(["localhost", "evil.example"])}\r\n${CLOSE}`), 421],
  "a Host that is none": [
    (random) =>
      `GET ${callsOf("acme")}?limit=1 HTTP/1.1\r\nHost: ${random.pick(["", "a b", "localhost/x", "x@localhost", "localhost:99999999", "[::1", "é"])}\r\n${CLOSE}\r\n`,
    421
  ],
  "a port that is none": [
    () => `GET ${callsOf("acme")}?limit=1 HTTP/1.1\r\nHost: localhost:99999\r\n${CLOSE}\r\n`,
    200
  ],
  "an absolute address": [() => `GET http://localhost/health/live HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, 200],
  "an absolute address and another Host": [
    () => `GET http://localhost/health/live HTTP/1.1\r\nHost: evil.example\r\n${CLOSE}\r\n`,
    421
  ],
  "a tunnel": [() => `CONNECT example.com:443 HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, 405],
  "an address that looks like another host's": [
    () => `GET //evil.example/health/live HTTP/1.1\r\n${HOST}${CLOSE}\r\n`,
    404
  ],
  "bytes above ASCII in the address": [() => `GET /health/\u00ff\u00fe HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, 404],
  "an upgrade to a WebSocket": [
    () => get(`${CLOSE}Upgrade: websocket\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n`),
    200
  ],
  "an upgrade to HTTP/2": [() => get("Connection: close, Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"), 200],
  "an expectation": [() => post(`Expect: 100-continue\r\n${CLOSE}Content-Length: 2\r\n`, "{}"), 422],
  "a chunk with an extension": [() => chunked("2;a=b\r\n{}\r\n0\r\n\r\n", CLOSE), 422],
  "a GET with a body": [() => `${get("Content-Length: 5\r\n")}hello${get(CLOSE)}`, 200, 200],
  "many requests at once": [
    (random) => HIDDEN.repeat(random.pick([1, 7])) + get(CLOSE).replace("live", "none"),
    200,
    404
  ],
  [UNREAD]: [() => `POST /nothing HTTP/1.1\r\n${HOST}Content-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`, 404]
}

/** Requests that end before they are complete. Nobody may take them for complete ones. */
export const CUT_OFF: Readonly<Record<string, Make>> = {
  "in the address": (random) => LIVE.slice(0, 1 + random.int(20)),
  "in the headers": (random) => LIVE + "X-A: b".slice(0, random.int(7)),
  "in the body": (random) => post(`Content-Length: ${SUBMISSION.length + 1 + random.int(100)}\r\n`, SUBMISSION),
  "in a chunk": () => chunked(`ff\r\n${SUBMISSION}`),
  "before the last chunk": (random) =>
    chunked(`${hex(SUBMISSION)}\r\n${SUBMISSION}${random.pick(["", "\r\n", "\r\n0", "\r\n0\r"])}`)
}
