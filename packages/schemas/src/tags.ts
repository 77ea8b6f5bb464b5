import { Schema } from "effect"

/** Beside the star. */
export const TAGS_MAX = 20
/** The tag of calls that somebody wants to find again: there is always room for it. */
export const STARRED = "starred"

/** A label of a call: 1 to 64 characters, no control characters, no blanks at its ends. */
export const Tag = Schema.String.check(
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it refuses
  Schema.isPattern(/^(?! )[^\u0000-\u001f\u007f]{1,64}(?<! )$/u, {
    message: "Expected 1 to 64 characters without control characters or blanks at the ends"
  })
)
export const Tags = Schema.Array(Tag).check(
  Schema.isMaxLength(TAGS_MAX + 1, { message: `Expected at most ${TAGS_MAX} tags` }),
  Schema.makeFilter((tags: ReadonlyArray<string>) =>
    tags.filter((tag) => tag !== STARRED).length <= TAGS_MAX ? undefined : `Expected at most ${TAGS_MAX} tags`
  ),
  Schema.isUnique({ message: "Expected each tag once" })
)
export type Tags = typeof Tags.Type
