import type { Method } from "./wire.ts"
import { METHODS } from "./wire.ts"

/** What a curl command asks for. */
export interface CurlRequest {
  readonly method: Method
  readonly url: string
  readonly headers: ReadonlyArray<readonly [string, string]>
  readonly body: string
  /** What of the command this page cannot do: for people. */
  readonly leftOut: ReadonlyArray<string>
}

export const looksLikeCurl = (text: string): boolean => /^\s*(\$\s+)?curl(\.exe)?\s/.test(text)

/** Options of curl that take a value and change nothing here. */
const IGNORED_WITH_VALUE = new Set(
  "-o --output -w --write-out -m --max-time --connect-timeout --retry --retry-delay -x --proxy --cacert --resolve".split(
    " "
  )
)
/** Options that say something, but not to a service that calls later. */
const LEFT_OUT_WITH_VALUE = new Set("-F --form -T --upload-file -E --cert --key -K --config".split(" "))

/** Reads a command as a POSIX shell and curl would; `undefined` if it is none, or names no URL. */
export const parseCurl = (command: string): CurlRequest | undefined => {
  const words = splitWords(command.trim().replace(/^\$\s+/, ""))
  if (words === undefined || !/^curl(\.exe)?$/.test(words[0] ?? "")) return undefined
  let method = ""
  let url = ""
  let isGet = false
  let isHead = false
  const headers: Array<readonly [string, string]> = []
  const data: Array<string> = []
  const leftOut: Array<string> = []
  const hasHeader = (name: string) => headers.some(([known]) => known.toLowerCase() === name)
  let isJson = false

  const takeData = (option: string, value: string) => {
    if (option !== "--data-raw" && value.startsWith("@")) leftOut.push(`${option} ${value}: a file`)
    else if (option === "--data-urlencode") data.push(urlEncoded(value))
    // curl drops the line breaks of -d only from files.
    else data.push(value)
  }

  for (let at = 1; at < words.length; at++) {
    const { option, attached } = splitOption(words[at] ?? "")
    if (option === "") {
      if (url === "") url = attached ?? ""
      else leftOut.push(`${attached}: a second URL`)
      continue
    }
    const value = () => attached ?? words[++at] ?? ""
    if (option === "-X" || option === "--request") method = value().toUpperCase()
    else if (option === "--url") url = value()
    else if (option === "-H" || option === "--header") {
      const [, name, text] = /^([^:;]+)[:;]\s*([\s\S]*)$/.exec(value()) ?? []
      if (name !== undefined) headers.push([name.trim(), text ?? ""])
    } else if (option === "--json") {
      isJson = true
      takeData(option, value())
    } else if (/^(-d|--data(-raw|-binary|-ascii|-urlencode)?)$/.test(option)) takeData(option, value())
    else if (option === "-u" || option === "--user") headers.push(["Authorization", `Basic ${base64(value())}`])
    else if (option === "-A" || option === "--user-agent") headers.push(["User-Agent", value()])
    else if (option === "-e" || option === "--referer") headers.push(["Referer", value()])
    else if (option === "-b" || option === "--cookie") headers.push(["Cookie", value()])
    else if (option === "--oauth2-bearer") headers.push(["Authorization", `Bearer ${value()}`])
    else if (option === "-G" || option === "--get") isGet = true
    else if (option === "-I" || option === "--head") isHead = true
    else if (IGNORED_WITH_VALUE.has(option)) value()
    else if (LEFT_OUT_WITH_VALUE.has(option)) leftOut.push(`${option} ${value()}`)
    else if (option === "-L" || option === "--location") leftOut.push(`${option}: redirects are not followed`)
    else if (option === "-k" || option === "--insecure") leftOut.push(`${option}: certificates are always checked`)
  }
  if (url === "") return undefined
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(url)) url = `http://${url}`

  let body = data.join(isJson ? "" : "&")
  if (isGet && body !== "") {
    url += (url.includes("?") ? "&" : "?") + body
    body = ""
  }
  if (isJson) {
    if (!hasHeader("content-type")) headers.push(["Content-Type", "application/json"])
    if (!hasHeader("accept")) headers.push(["Accept", "application/json"])
  } else if (body !== "" && !hasHeader("content-type")) {
    headers.push(["Content-Type", "application/x-www-form-urlencoded"])
  }
  const wanted = method !== "" ? method : isHead ? "HEAD" : body === "" ? "GET" : "POST"
  const known = METHODS.find((name) => name === wanted)
  if (known === undefined) leftOut.push(`method ${wanted}`)
  return { method: known ?? "GET", url, headers, body, leftOut }
}

/** An option and the value that is written with it; for other words the word as `attached`. */
const splitOption = (word: string): { readonly option: string; readonly attached?: string } => {
  if (word === "-" || !word.startsWith("-")) return { option: "", attached: word }
  if (word.startsWith("--")) return { option: word }
  // Short options may stand together, and the last one's value may follow at once: -sXPOST.
  const [, flags = "", letter = "", rest = ""] = /^-([sSkLiIGvfgNOR#]*)([a-zA-Z]?)([\s\S]*)$/.exec(word) ?? []
  if (letter === "") return { option: flags.includes("I") ? "-I" : flags.includes("G") ? "-G" : `-${flags.slice(-1)}` }
  return rest === "" ? { option: `-${letter}` } : { option: `-${letter}`, attached: rest }
}

/** As a POSIX shell splits a command into words; `undefined` when a quote does not end. */
export const splitWords = (text: string): ReadonlyArray<string> | undefined => {
  const words: Array<string> = []
  let word: string | undefined
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? ""
    if (character === "\\") {
      at++
      // A line break that is escaped joins the lines.
      if (text[at] === "\r" && text[at + 1] === "\n") at++
      else if (text[at] !== "\n") word = (word ?? "") + (text[at] ?? "")
    } else if (character === "'" || (character === "$" && text[at + 1] === "'")) {
      const isAnsi = character === "$"
      const start = at + (isAnsi ? 2 : 1)
      let end = text.indexOf("'", start)
      while (isAnsi && end > 0 && isEscaped(text, end)) end = text.indexOf("'", end + 1)
      if (end === -1) return undefined
      word = (word ?? "") + (isAnsi ? ansi(text.slice(start, end)) : text.slice(start, end))
      at = end
    } else if (character === '"') {
      let end = text.indexOf('"', at + 1)
      while (end > 0 && isEscaped(text, end)) end = text.indexOf('"', end + 1)
      if (end === -1) return undefined
      word = (word ?? "") + text.slice(at + 1, end).replaceAll(/\\(\r?\n|["\\$`])/g, (_, next) => next.trim())
      at = end
    } else if (/\s/.test(character)) {
      if (word !== undefined) words.push(word)
      word = undefined
      // A command ends with its line.
      if (character === "\n" && words.length > 0) break
    } else word = (word ?? "") + character
  }
  if (word !== undefined) words.push(word)
  return words
}

const isEscaped = (text: string, at: number): boolean => {
  let before = at
  while (text[before - 1] === "\\") before--
  return (at - before) % 2 === 1
}

/** `$'…'`, as browsers write it when they copy a request with line breaks. */
const ansi = (text: string): string =>
  text.replaceAll(/\\(u[0-9a-fA-F]{1,4}|x[0-9a-fA-F]{1,2}|[\s\S])/g, (_, escaped: string) => {
    if (escaped.length > 1) return String.fromCharCode(Number.parseInt(escaped.slice(1), 16))
    return { n: "\n", r: "\r", t: "\t" }[escaped] ?? escaped
  })

const urlEncoded = (value: string): string => {
  const [, name = "", text = value] = /^([^=]*)=([\s\S]*)$/.exec(value) ?? []
  return (name === "" ? "" : `${name}=`) + encodeURIComponent(text)
}

const base64 = (text: string): string =>
  btoa(Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join(""))
