import { formatSpan } from "@event-service-agent/schemas/format-span"
import { parseTimestamp } from "@event-service-agent/schemas/time"
import { DateTime, Option } from "effect"

const SECOND_MS = 1_000
const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000
const UNITS = { ms: 1, s: SECOND_MS, m: MINUTE_MS, h: HOUR_MS, d: DAY_MS } as const
/** A hundred years: what is longer is a slip. */
const DURATION_MS_MAX = 36_525 * DAY_MS

export const MOMENT_HINT =
  'a time: 2027-01-01T09:00:00Z, "2027-01-01 09:00", "tomorrow 09:00", 09:00, "in 2h", "2h ago"'
export const DURATION_HINT = "a duration: 45s, 5m, 2h30m, 1d, 500ms"

/** Milliseconds; `none` for what is no duration. Parts follow each other: `2h30m`. */
export const parseDuration = (text: string): Option.Option<number> => {
  if (!/^(\d{1,9}(ms|s|m|h|d))+$/.test(text)) return Option.none()
  const total = [...text.matchAll(/(\d+)(ms|s|m|h|d)/g)].reduce(
    (sum, [, amount = "0", unit = "ms"]) => sum + Number(amount) * unitMs(unit),
    0
  )
  return total <= DURATION_MS_MAX ? Option.some(total) : Option.none()
}

const unitMs = (name: string): number => Object.entries(UNITS).find(([unit]) => unit === name)?.[1] ?? 1

/** A point in time, as people write it: without an offset it is local time. A bare hour is the next such one. */
export const parseMoment = (text: string, now: Date): Option.Option<Date> => {
  const trimmed = text.trim()
  const exact = parseTimestamp(trimmed)
  if (Option.isSome(exact)) return Option.some(DateTime.toDateUtc(exact.value))
  const [, ahead] = /^in (\S+)$/.exec(trimmed) ?? []
  if (ahead !== undefined) return Option.map(parseDuration(ahead), (ms) => new Date(now.getTime() + ms))
  const [, ago] = /^(\S+) ago$/.exec(trimmed) ?? []
  if (ago !== undefined) return Option.map(parseDuration(ago), (ms) => new Date(now.getTime() - ms))
  return parseLocal(trimmed, now)
}

const LOCAL =
  /^(?:(?<day>today|tomorrow|yesterday)|(?<year>\d{4})-(?<month>\d\d)-(?<date>\d\d))?(?:(?:^|[ T])(?<hour>\d{1,2}):(?<minute>\d\d)(?::(?<second>\d\d))?)?$/
const DAYS = { yesterday: -1, today: 0, tomorrow: 1 } as const

const parseLocal = (text: string, now: Date): Option.Option<Date> => {
  const groups = text === "" ? undefined : LOCAL.exec(text)?.groups
  if (groups === undefined) return Option.none()
  const { day, year, month, date } = groups
  const number = (digits: string | undefined) => Number(digits ?? "0")
  const [hour, minute, second] = [number(groups["hour"]), number(groups["minute"]), number(groups["second"])]
  const shift = Object.entries(DAYS).find(([name]) => name === day)?.[1] ?? 0
  const at = (days: number) =>
    year === undefined
      ? new Date(now.getFullYear(), now.getMonth(), now.getDate() + days, hour, minute, second)
      : new Date(number(year), number(month) - 1, number(date), hour, minute, second)
  const meant = day === undefined && year === undefined && at(0) <= now ? at(1) : at(shift)
  // A day that no month has rolls over, and so does an hour that the clocks skip: neither was meant.
  const isDay = year === undefined || (meant.getMonth() === number(month) - 1 && meant.getDate() === number(date))
  const isHour = meant.getHours() === hour && meant.getMinutes() === minute && meant.getSeconds() === second
  return isDay && isHour ? Option.some(meant) : Option.none()
}

const two = (value: number): string => String(value).padStart(2, "0")

/** In local time, to the second. */
export const localTime = (iso: string): string => {
  const at = new Date(iso)
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`
}

/** The local time of day, to the millisecond. */
export const timeOfDay = (iso: string): string =>
  `${localTime(iso).slice(11)}.${String(new Date(iso).getMilliseconds()).padStart(3, "0")}`

/** How far a time is: `in 5 m`, `5 m ago`. */
export const fromNow = (iso: string, now: number): string => {
  const ms = new Date(iso).getTime() - now
  return ms >= 0 ? `in ${formatSpan(ms)}` : `${formatSpan(-ms)} ago`
}
