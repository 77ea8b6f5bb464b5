const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const YEAR = 365 * DAY

const UNITS = [
  [YEAR, "y"],
  [DAY, "d"],
  [HOUR, "h"],
  [MINUTE, "min"],
  [SECOND, "s"]
] as const

/** A span of time for people: `812 ms`, `2.4 s`, `3 min 12 s`, `3 h 12 min`, `2 d 4 h`. The two largest units, cut off. */
export const formatSpan = (millis: number): string => (millis < 0 ? `-${spell(-millis)}` : spell(millis))

const spell = (millis: number): string => {
  const span = Math.round(millis)
  if (span < SECOND) return `${span} ms`
  if (span < 10 * SECOND) return `${Number((Math.floor(span / 10) / 100).toFixed(2))} s`
  const whole = span < MINUTE ? Math.floor(span / SECOND) * SECOND : span
  const index = UNITS.findIndex(([size]) => whole >= size)
  const [size, name] = UNITS[index] ?? UNITS[UNITS.length - 1] ?? [SECOND, "s"]
  const first = `${Math.floor(whole / size)} ${name}`
  const next = UNITS[index + 1]
  const rest = next === undefined ? 0 : Math.floor((whole % size) / next[0])
  return next === undefined || rest === 0 ? first : `${first} ${rest} ${next[1]}`
}
