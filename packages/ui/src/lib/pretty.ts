/** Indents JSON without changing anything else of it, such as the digits of a large number; other text stays. */
export const pretty = (text: string): string => {
  if (!/^\s*[[{]/.test(text) || !isJson(text)) return text
  let out = ""
  let depth = 0
  const newLine = () => `\n${"  ".repeat(depth)}`
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[^\s"[\]{},:]+|[[\]{},:]/g)) {
    const isOpening = token === "{" || token === "["
    const last = out.at(-1)
    if (token === "}" || token === "]") {
      depth--
      out += (last === "{" || last === "[" ? "" : newLine()) + token
    } else if (token === ":") out += ": "
    else if (token === ",") out += token
    else {
      out += (last === "," || last === "{" || last === "[" ? newLine() : "") + token
      if (isOpening) depth++
    }
  }
  return out
}

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
