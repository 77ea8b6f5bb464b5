/** Characters that show nothing, or turn the text around it: they hide what is there. */
const HIDDEN =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it makes visible
  /[\u0000-\u0008\u000b\u000c\u000d-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g
/** Where a line is all there is room for. */
const LINE_BREAKS = /[\t\n]/g

const escapeOf = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`

/** The text with what cannot be seen written as escapes; line breaks and tabs stay. */
export const visibleText = (text: string): string => text.replaceAll(HIDDEN, escapeOf)

/** The same, on one line. */
export const visibleLine = (text: string): string => visibleText(text).replaceAll(LINE_BREAKS, escapeOf)
