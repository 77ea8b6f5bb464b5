import { DateTime, Effect, Option, Schema, SchemaGetter, SchemaIssue } from "effect"

const RFC_3339 = /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:([Zz])|([+-])(\d{2}):(\d{2}))$/
const DAYS_IN_MONTH = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
const HINT = "Expected an RFC 3339 time with an offset, for example 2027-01-01T09:00:00Z"

/**
 * Parses an RFC 3339 time strictly: the offset is required and `2026-02-30` is refused, where `Date` would roll it
 * over. Fractions below a millisecond round up, so that nothing becomes due early. Leap seconds are refused.
 */
export const parseTimestamp = (text: string): Option.Option<DateTime.Utc> => {
  const match = RFC_3339.exec(text)
  if (match === null) return Option.none()
  const field = (index: number) => Number(match[index] ?? "0")
  const [year, month, day, hour, minute, second] = [field(1), field(2), field(3), field(4), field(5), field(6)]
  const [offsetHour, offsetMinute] = [field(10), field(11)]
  const leapDay = month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 1 : 0
  if (month < 1 || month > 12 || day < 1 || day > (DAYS_IN_MONTH[month - 1] ?? 0) + leapDay) return Option.none()
  if (hour > 23 || minute > 59 || second > 59 || offsetHour > 23 || offsetMinute > 59) return Option.none()
  const nanos = Number((match[7] ?? "").padEnd(9, "0"))
  const offsetMinutes = (match[9] === "-" ? -1 : 1) * (offsetHour * 60 + offsetMinute)
  // Date.UTC maps the years 0 to 99 to 1900; setUTCFullYear does not.
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  date.setUTCHours(hour, minute - offsetMinutes, second, Math.ceil(nanos / 1_000_000))
  // An offset can lead out of the years that can be written.
  return date.getUTCFullYear() < 0 || date.getUTCFullYear() > 9999 ? Option.none() : DateTime.make(date)
}

/** RFC 3339 has four digits for the year. */
const isWithinYears = Schema.makeIsBetween({ order: DateTime.Order })({
  minimum: DateTime.makeUnsafe("0000-01-01T00:00:00.000Z"),
  maximum: DateTime.makeUnsafe("9999-12-31T23:59:59.999Z")
})

/** A point in time: `DateTime.Utc` inside, RFC 3339 in UTC with milliseconds on the wire. */
export const Timestamp = Schema.String.annotate({ format: "date-time" }).pipe(
  Schema.decodeTo(Schema.DateTimeUtc.check(isWithinYears), {
    decode: SchemaGetter.transformEffect((text: string) =>
      Option.match(parseTimestamp(text), {
        onNone: () => Effect.fail(new SchemaIssue.InvalidValue({ message: HINT })),
        onSome: Effect.succeed
      })
    ),
    encode: SchemaGetter.transform((time: DateTime.Utc) => DateTime.formatIso(time))
  })
)
export type Timestamp = typeof Timestamp.Type

/** Milliseconds since 1970, the form in which the database keeps time. */
export const toMillis = (time: DateTime.Utc): number => DateTime.toEpochMillis(time)

/** @param millis milliseconds since 1970, as `toMillis` gave them */
export const fromMillis = (millis: number): DateTime.Utc => DateTime.makeUnsafe(millis)

/** The same for a time that there may not be. */
export const timeOrNull = (millis: number | null | undefined): DateTime.Utc | null =>
  millis == null ? null : fromMillis(millis)
