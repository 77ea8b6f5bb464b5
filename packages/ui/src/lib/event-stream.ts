/** One event as the server sent it. */
export interface StreamEvent {
  readonly id: string
  readonly type: string
  readonly data: string
}

/** Characters of an event that is not complete yet, at most: the largest holds an answer of 8 KiB and some headers. */
const PENDING_CHARACTERS_MAX = 1_048_576

/** Reads server-sent events from pieces of text that begin and end anywhere. Throws when one never ends. */
export const makeEventParser = (onEvent: (event: StreamEvent) => void): ((piece: string) => void) => {
  let rest = ""
  let id = ""
  let type = ""
  let data: Array<string> = []

  const take = (line: string) => {
    if (line === "") {
      if (data.length > 0) onEvent({ id, type: type === "" ? "message" : type, data: data.join("\n") })
      type = ""
      data = []
      return
    }
    const [, name = "", value = ""] = /^([^:]*)(?:: ?([\s\S]*))?$/.exec(line) ?? []
    if (name === "data") data.push(value)
    else if (name === "event") type = value
    else if (name === "id") id = value
  }

  return (piece) => {
    // A line break of two characters may lie between two pieces.
    const text = rest + piece
    const end = text.endsWith("\r") ? text.length - 1 : text.length
    const lines = text.slice(0, end).split(/\r\n|\n|\r/)
    rest = (lines.pop() ?? "") + text.slice(end)
    if (rest.length > PENDING_CHARACTERS_MAX) throw new Error("an event has no end")
    for (const line of lines) take(line)
  }
}
