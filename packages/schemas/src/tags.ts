import { Schema } from "effect"

export const TAGS_MAX = 20

/** A label of a call: 1 to 64 characters, no control characters, no blanks at its ends. */
export const Tag = Schema.String.check(
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it refuses
  Schema.isPattern(/^(?! )[^\u0000-\u001f\u007f]{1,64}(?<! )$/u, {
    message: "Expected 1 to 64 characters without control characters or blanks at the ends"
  })
)
export const Tags = Schema.Array(Tag).check(
  Schema.isMaxLength(TAGS_MAX, { message: `Expected at most ${TAGS_MAX} tags` }),
  Schema.isUnique({ message: "Expected each tag once" })
)
export type Tags = typeof Tags.Type
