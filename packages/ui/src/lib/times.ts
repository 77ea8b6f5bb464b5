import { formatSpan } from "@event-service-agent/schemas/format-span"

const SECOND = 1_000

/** `in 3 h 12 min`, `5 min ago`, `now`. In whole seconds: it stands beside a clock. */
export const formatRelative = (time: number, now: number): string => {
  const seconds = time > now ? Math.ceil((time - now) / SECOND) : Math.floor((now - time) / SECOND)
  if (seconds === 0) return "now"
  const text = formatSpan(seconds * SECOND)
  return time > now ? `in ${text}` : `${text} ago`
}

const pad = (value: number, length = 2): string => String(value).padStart(length, "0")

/** `2026-11-21 17:05:09` on this machine's clock. */
export const formatLocal = (time: number): string => {
  const date = new Date(time)
  return `${pad(date.getFullYear(), 4)}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${formatClock(time)}`
}

/** `17:05:09` on this machine's clock. */
export const formatClock = (time: number): string => {
  const date = new Date(time)
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`
}

/** `17:05:09` if that is today, `Nov 20 17:05` in this year, otherwise `2025-11-20 17:05`. */
export const formatShort = (time: number, now: number): string => {
  const [date, today] = [new Date(time), new Date(now)]
  if (date.toDateString() === today.toDateString()) return formatClock(time)
  return `${formatDay(time, now)} ${formatClock(time).slice(0, -3)}`
}

/** `Nov 20` in this year, otherwise `2025-11-20`. */
export const formatDay = (time: number, now: number): string => {
  const date = new Date(time)
  if (date.getFullYear() !== new Date(now).getFullYear()) return formatLocal(time).slice(0, 10)
  return `${MONTHS[date.getMonth()]} ${pad(date.getDate())}`
}
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

/** `2026-11-21 17:05:09 UTC`. */
export const formatUtc = (time: number): string =>
  `${new Date(time)
    .toISOString()
    .replace("T", " ")
    .replace(/\.\d+Z$/, "")} UTC`

/** As `<input type="datetime-local">` writes it, on this machine's clock. */
export const toLocalInput = (time: number): string => formatLocal(time).replace(" ", "T")

/** RFC 3339 in UTC of what such a field holds; empty when it holds no time. */
export const fromLocalInput = (text: string): string => {
  const time = text === "" ? Number.NaN : new Date(text).getTime()
  return Number.isNaN(time) ? "" : new Date(time).toISOString()
}
