import type { Method } from "./wire.ts"

export interface Written {
  readonly method: Method
  readonly url: string
  readonly headers: Iterable<readonly [string, string]>
  readonly body: string
}

/** A command for a POSIX shell that sends this request. */
export const writeCurl = ({ method, url, headers, body }: Written): string => {
  const parts = [`curl ${quote(url)}`]
  if (method === "HEAD") parts[0] = `curl --head ${quote(url)}`
  else if (method !== (body === "" ? "GET" : "POST")) parts.push(`-X ${method}`)
  const names = new Set<string>()
  for (const [name, value] of headers) {
    names.add(name.toLowerCase())
    // With a colon and nothing behind it, curl would leave the header out.
    parts.push(`-H ${quote(value === "" ? `${name};` : `${name}: ${value}`)}`)
  }
  if (body !== "") {
    // Otherwise curl says that it is a form.
    if (!names.has("content-type")) parts.push("-H 'Content-Type:'")
    parts.push(`--data-raw ${quote(body)}`)
  }
  return parts.join(" \\\n  ")
}

const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`
