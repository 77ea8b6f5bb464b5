import { service } from "./contenders/service.ts"
import type { Results } from "./results.ts"

const WIDTH = 760
const LABELS_WIDTH = 170
const VALUES_WIDTH = 90
const BAR_HEIGHT = 18
const ROW_HEIGHT = 28
const PANEL_HEAD = 52
const PANEL_FOOT = 44
const TICK_LENGTH = 5

interface Bar {
  readonly name: string
  readonly value: number
}

interface Panel {
  readonly title: string
  readonly axis: string
  readonly scale: "linear" | "logarithmic"
  readonly bars: ReadonlyArray<Bar>
}

/** The two questions people ask first, as one picture. Follows the reader's light or dark scheme. */
export const toSvg = (results: Results): string => {
  const panels = [
    panelOf(results, "now", "perSecond", "Calls performed in a second: more is better", "calls a second", "linear"),
    panelOf(
      results,
      "due",
      "p99",
      "Lateness at the target, p99: less is better",
      "milliseconds, logarithmic",
      "logarithmic"
    )
  ].filter(({ bars }) => bars.length > 0)
  const heights = panels.map(({ bars }) => PANEL_HEAD + bars.length * ROW_HEIGHT + PANEL_FOOT)
  const height = heights.reduce((sum, one) => sum + one, 0)
  const drawn = panels.map((panel, index) => {
    const top = heights.slice(0, index).reduce((sum, one) => sum + one, 0)
    return `<g transform="translate(0 ${top})">\n${drawPanel(panel)}\n</g>`
  })
  const title = panels.map((panel) => panel.title).join("; ")
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escapeXml(title)}">
<style>
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600; font-size: 15px }
  .axis { fill: #57606a }
  .background { fill: #ffffff }
  .bar { fill: #8c959f }
  .ours { fill: #0969da }
  line { stroke: #57606a }
  .grid { stroke: #d0d7de }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .axis { fill: #9198a1 }
    .background { fill: #0d1117 }
    .bar { fill: #6e7681 }
    .ours { fill: #4493f8 }
    line { stroke: #9198a1 }
    .grid { stroke: #30363d }
  }
</style>
<rect class="background" width="${WIDTH}" height="${height}" rx="6"/>
${drawn.join("\n")}
</svg>
`
}

const panelOf = (
  results: Results,
  workload: string,
  key: string,
  title: string,
  axis: string,
  scale: Panel["scale"]
): Panel => {
  const kind = results.workloads.find(({ name }) => name === workload)
  const direction = kind?.kinds.find((one) => one.key === key)?.better === "less" ? 1 : -1
  const bars = (kind?.subjects ?? []).flatMap(({ name, figures }) => {
    const value = figures[key]?.median
    return value === undefined || value <= 0 ? [] : [{ name, value }]
  })
  return { title, axis, scale, bars: bars.sort((a, b) => direction * (a.value - b.value)) }
}

const drawPanel = ({ title, axis, scale, bars }: Panel): string => {
  const values = bars.map(({ value }) => value)
  const ticks =
    scale === "linear" ? linearTicks(Math.max(...values)) : decades(Math.min(...values), Math.max(...values))
  const [low = 0, high = 1] = [ticks[0], ticks.at(-1)]
  const span = WIDTH - LABELS_WIDTH - VALUES_WIDTH
  const share = (value: number) => (scale === "linear" ? value / high : Math.log(value / low) / Math.log(high / low))
  const x = (value: number) => Math.round(LABELS_WIDTH + share(value) * span)
  const bottom = PANEL_HEAD + bars.length * ROW_HEIGHT
  return [
    `<text class="title" x="16" y="28">${escapeXml(title)}</text>`,
    ...ticks.map(
      (tick) => `<line class="grid" x1="${x(tick)}" x2="${x(tick)}" y1="${PANEL_HEAD - 8}" y2="${bottom}"/>`
    ),
    ...bars.map((bar, index) => drawBar(bar, PANEL_HEAD + index * ROW_HEIGHT, x)),
    `<line x1="${LABELS_WIDTH}" x2="${LABELS_WIDTH + span}" y1="${bottom}" y2="${bottom}"/>`,
    ...ticks.map(
      (tick) =>
        `<line x1="${x(tick)}" x2="${x(tick)}" y1="${bottom}" y2="${bottom + TICK_LENGTH}"/>` +
        `<text class="axis" x="${x(tick)}" y="${bottom + 18}" text-anchor="middle">${tick.toLocaleString("en-US")}</text>`
    ),
    `<text class="axis" x="${LABELS_WIDTH + span}" y="${bottom + 34}" text-anchor="end">${escapeXml(axis)}</text>`
  ].join("\n")
}

const drawBar = ({ name, value }: Bar, top: number, x: (value: number) => number): string => {
  const middle = top + BAR_HEIGHT / 2 + 4
  const width = Math.max(2, x(value) - LABELS_WIDTH)
  const text = value.toLocaleString("en-US", { maximumSignificantDigits: value >= 1_000 ? 4 : 3 })
  return (
    `<text x="${LABELS_WIDTH - 10}" y="${middle}" text-anchor="end">${escapeXml(name)}</text>` +
    `<rect class="${name === service.name ? "ours" : "bar"}" x="${LABELS_WIDTH}" y="${top}" width="${width}" height="${BAR_HEIGHT}" rx="2"/>` +
    `<text x="${LABELS_WIDTH + width + 8}" y="${middle}">${text}</text>`
  )
}

/** From zero to just above the highest, in steps of 1, 2 or 5 times a power of ten. */
const linearTicks = (highest: number): ReadonlyArray<number> => {
  const power = 10 ** Math.floor(Math.log10(highest / 4))
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => highest / one <= 5) ?? 10 * power
  return Array.from({ length: Math.ceil(highest / step) + 1 }, (_, index) => index * step)
}

/** The powers of ten around all values. */
const decades = (lowest: number, highest: number): ReadonlyArray<number> => {
  const first = Math.floor(Math.log10(lowest))
  const last = Math.max(first + 1, Math.ceil(Math.log10(highest)))
  return Array.from({ length: last - first + 1 }, (_, index) => 10 ** (first + index))
}

const escapeXml = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;")
