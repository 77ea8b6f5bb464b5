import type { Socket } from "node:net"
import { gzipSync } from "node:zlib"
import { RESPONSE_BODY_BYTES_MAX } from "@event-service-agent/platform/http-client-port"
import { answer, type Behaviour } from "./targets.ts"

/** What a target does, and what has to come of it: kind, `sent` and status of a failure, or status and bytes. */
export type Hostility = readonly [what: string, outcome: string, behaviour: Behaviour]

const DRIP_INTERVAL_MS = 20
const CHUNKED = "200 OK\r\nTransfer-Encoding: chunked"
const MEBIBYTE_OF_A = Buffer.alloc(1_048_576, "a")
const BOMB = gzipSync(Buffer.alloc(50 * RESPONSE_BODY_BYTES_MAX))
const EVERY_BYTE = Buffer.from(Array.from({ length: 256 }, (_, value) => value))

const ends = (text: string | Buffer) => (socket: Socket) => void socket.end(text)
const writes = (text: string) => (socket: Socket) => void socket.write(text)

/** Writes the text byte for byte, and never comes to the end of it. */
const drips = (start: string, text: string) => (socket: Socket) => {
  if (start !== "") socket.write(start)
  let index = 0
  const drip = setInterval(() => socket.write(text[index++ % text.length] ?? ""), DRIP_INTERVAL_MS)
  socket.on("close", () => clearInterval(drip))
}

/** Writes the start, and then the rest again and again, as fast as it is read. */
const pours = (start: string, rest: string | Buffer) => (socket: Socket) => {
  const chunk = typeof rest === "string" ? rest.repeat(Math.ceil(65_536 / rest.length)) : rest
  const pour = () => {
    while (socket.writable && socket.write(chunk));
  }
  socket.on("drain", pour)
  if (start !== "") socket.write(start)
  pour()
}

/** Writes the text, and then resets the connection once the other side has had time to read it. */
const resets = (text: string) => (socket: Socket) => {
  socket.write(text, () => setTimeout(() => socket.resetAndDestroy(), 5 * DRIP_INTERVAL_MS))
}

/** The end never comes: only the timeout ends these. */
export const ENDLESS: ReadonlyArray<Hostility> = [
  ["reads and never answers", "Timeout maybe", () => {}],
  ["drips the status line", "Timeout maybe", drips("HTTP/1.1 200 ", "O")],
  ["drips the headers", "Timeout maybe", drips("HTTP/1.1 200 OK\r\n", "X-A: b\r\n")],
  ["drips interim answers", "Timeout maybe", drips("", answer("103 Early Hints"))],
  ["drips the body", "Timeout yes 200", drips(answer("200 OK"), "a")],
  ["drips a chunk extension", "Timeout yes 200", drips(answer(CHUNKED, "3;"), "a")],
  ["never sends the body it promised", "Timeout yes 200", writes(answer("200 OK\r\nContent-Length: 5"))],
  ["never ends a chunk", "Timeout yes 200", writes(answer(CHUNKED, "5\r\nabc"))],
  [
    "promises 9,007,199,254,740,991 bytes",
    "Timeout yes 200",
    writes(answer("200 OK\r\nContent-Length: 9007199254740991"))
  ]
]

/** As fast as the client reads, for ever. */
export const POURING: ReadonlyArray<Hostility> = [
  ["pours a status line without end", "ConnectionClosed maybe", pours("HTTP/1.1 200 ", MEBIBYTE_OF_A)],
  ["pours a header without end", "ConnectionClosed maybe", pours("HTTP/1.1 200 OK\r\nX-A: ", MEBIBYTE_OF_A)],
  ["pours headers without end", "ConnectionClosed maybe", pours("HTTP/1.1 200 OK\r\n", "X-A: b\r\n")],
  ["pours interim answers 100", "Timeout maybe", pours("", answer("100 Continue"))],
  ["pours interim answers 103", "Timeout maybe", pours("", answer("103 Early Hints\r\nLink: </a>"))],
  ["pours a body without end", `200 ${RESPONSE_BODY_BYTES_MAX}`, pours(answer("200 OK"), MEBIBYTE_OF_A)],
  ["pours a body of tiny chunks", `200 ${RESPONSE_BODY_BYTES_MAX}`, pours(answer(CHUNKED), "1\r\na\r\n")],
  ["pours one chunk extension", "Timeout yes 200", pours(answer(CHUNKED, "3;"), MEBIBYTE_OF_A)],
  ["pours chunk extensions", "Timeout yes 200", pours(answer(CHUNKED), `1;${"a".repeat(60_000)}\r\nx\r\n`)],
  ["pours zeros for the size of a chunk", "ConnectionClosed yes 200", pours(answer(CHUNKED), "0")],
  ["pours trailers", "Timeout yes 200", pours(answer(CHUNKED, "3\r\nabc\r\n0\r\n"), "X-A: b\r\n")]
]

const closedMaybe = "ConnectionClosed maybe"
const closedYes = "ConnectionClosed yes 200"

/** The client finds the end itself. */
export const BROKEN: ReadonlyArray<Hostility> = [
  ["closes without an answer", closedMaybe, (socket) => socket.end()],
  ["resets without an answer", closedMaybe, (socket) => socket.resetAndDestroy()],
  ["closes within the headers", closedMaybe, ends("HTTP/1.1 200 OK\r\nConte")],
  ["resets within the headers", closedMaybe, resets("HTTP/1.1 200 OK\r\nConte")],
  ["closes within the body", closedYes, ends(answer("200 OK\r\nContent-Length: 10", "abc"))],
  ["resets within the body", closedYes, resets(answer("200 OK\r\nContent-Length: 10", "abc"))],
  ["closes within the chunks", closedYes, ends(answer(CHUNKED, "3\r\nabc\r\n"))],
  ["resets within the chunks", closedYes, resets(answer(CHUNKED, "3\r\nabc\r\n"))],
  ["closes where the end of the body is the end of the connection", "200 3", ends(answer("200 OK", "abc"))],
  // Bun does not tell it from an end: see the client's docstring.
  ["resets where the end of the body is the end of the connection", "200 3", resets(answer("200 OK", "abc"))],

  ["sends more than it promised", "200 2", ends(answer("200 OK\r\nContent-Length: 2", "abcdef"))],
  ["promises a negative length", closedMaybe, ends(answer("200 OK\r\nContent-Length: -1", "abc"))],
  ["promises two lengths", closedMaybe, ends(answer("200 OK\r\nContent-Length: 3\r\nContent-Length: 5", "abcde"))],
  ["promises two lengths in one header", closedMaybe, ends(answer("200 OK\r\nContent-Length: 3, 5", "abcde"))],
  ["promises one length twice", "200 3", ends(answer("200 OK\r\nContent-Length: 3\r\nContent-Length: 3", "abc"))],
  ["promises a length beyond 64 bits", closedMaybe, ends(answer(`200 OK\r\nContent-Length: ${"9".repeat(30)}`, "abc"))],
  ["promises a length beyond 32 bits", closedYes, ends(answer("200 OK\r\nContent-Length: 4294967299", "abc"))],
  ["promises a length in hex", closedMaybe, ends(answer("200 OK\r\nContent-Length: 0x3", "abc"))],
  ["promises a length and chunks", "200 5", ends(answer(`${CHUNKED}\r\nContent-Length: 3`, "5\r\nhello\r\n0\r\n\r\n"))],
  ["names an unknown transfer encoding", closedMaybe, ends(answer("200 OK\r\nTransfer-Encoding: xchunked", "abc"))],

  ["sends a chunk of no size", closedYes, ends(answer(CHUNKED, "zz\r\nabc\r\n0\r\n\r\n"))],
  ["sends a chunk of a negative size", closedYes, ends(answer(CHUNKED, "-3\r\nabc\r\n0\r\n\r\n"))],
  ["sends a chunk of a size beyond 64 bits", closedYes, ends(answer(CHUNKED, `${"f".repeat(20)}\r\nabc\r\n0\r\n\r\n`))],
  ["sends a chunk longer than its size", closedYes, ends(answer(CHUNKED, "3\r\nabcdef\r\n0\r\n\r\n"))],
  ["sends the last chunk and stays", "200 3", writes(answer(CHUNKED, "3\r\nabc\r\n0\r\n\r\n"))],

  [
    "sends a gzip bomb",
    `200 ${BOMB.byteLength}`,
    (socket) => {
      socket.write(answer(`200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${BOMB.byteLength}`))
      socket.end(BOMB)
    }
  ],
  [
    "sends every byte there is",
    "200 256",
    (socket) => {
      socket.write(answer("200 OK\r\nContent-Length: 256"))
      socket.end(EVERY_BYTE)
    }
  ],

  [
    "switches protocols",
    closedMaybe,
    writes(answer("101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade"))
  ],
  [
    "sends some interim answers first",
    "200 2",
    ends(answer("100 Continue") + answer("103 Early Hints") + answer("200 OK\r\nContent-Length: 2", "ok"))
  ],
  ["closes after an interim answer", closedMaybe, ends(answer("100 Continue"))],

  ["sends status 999", "999 0", ends(answer("999 Odd\r\nContent-Length: 0"))],
  ["sends status 000", "ConnectionClosed yes", writes(answer("000 Odd\r\nContent-Length: 0"))],
  ["sends a status of two digits", closedMaybe, ends(answer("99 Odd\r\nContent-Length: 0"))],
  ["sends a status of four digits", closedMaybe, ends(answer("2000 Odd\r\nContent-Length: 0"))],
  ["sends a status of letters", closedMaybe, ends(answer("abc Odd\r\nContent-Length: 0"))],
  ["sends no status", closedMaybe, ends("HTTP/1.1\r\n\r\n")],
  ["sends a header without a colon", closedMaybe, ends(answer("200 OK\r\nnonsense\r\nContent-Length: 0"))],
  ["sends a header with a zero byte", closedMaybe, ends(answer("200 OK\r\nX-A: a\0b\r\nContent-Length: 0"))],
  ["sends a blank before the colon", closedMaybe, ends(answer("200 OK\r\nContent-Length : 3", "abc"))],
  ["sends a folded header", closedMaybe, ends(answer("200 OK\r\nX-A: a\r\n b\r\nContent-Length: 0"))],
  ["speaks HTTP/0.9", closedMaybe, writes("<html>hello</html>")],
  ["speaks HTTP/1.0", "200 2", ends("HTTP/1.0 200 OK\r\n\r\nok")],
  ["speaks HTTP/2", closedMaybe, ends(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]))],
  ["sends the preface of HTTP/2", closedMaybe, writes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")],
  ["speaks TLS", closedMaybe, ends(Buffer.from([0x15, 3, 3, 0, 2, 2, 0x28]))],
  ["speaks SSH", closedMaybe, writes("SSH-2.0-OpenSSH\r\n")],

  ["sends a body with 204", "204 0", writes(answer("204 No Content\r\nContent-Length: 5", "hello"))],
  ["sends chunks with 204", "204 0", writes(answer("204 No Content\r\nTransfer-Encoding: chunked", "5\r\nhello\r\n"))],
  ["sends a body with 304", "304 0", writes(answer("304 Not Modified\r\nContent-Length: 5", "hello"))],
  [
    "sends a second answer",
    "200 2",
    writes(answer("200 OK\r\nContent-Length: 2", "ok") + answer("500 Second\r\nContent-Length: 3", "bad"))
  ],

  ["asks to try again", "503 0", writes(answer("503 Later\r\nRetry-After: 0\r\nContent-Length: 0"))],
  [
    "says that the connection was too slow",
    "408 0",
    ends(answer("408 Timeout\r\nConnection: close\r\nContent-Length: 0"))
  ],
  ["says that it was the wrong connection", "421 0", ends(answer("421 Misdirected\r\nContent-Length: 0"))],
  ["asks for credentials", "401 0", ends(answer('401 No\r\nWWW-Authenticate: Basic realm="a"\r\nContent-Length: 0'))],
  ["asks for credentials as a proxy", "407 0", ends(answer("407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0"))]
]
