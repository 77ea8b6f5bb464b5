import { Option } from "effect"
import { localTime, parseMoment } from "../src/times.ts"

/** What a program in another time zone makes of times: texts to be read and, as ISO, to be shown. `null`: refused. */
export interface Question {
  readonly now: string
  readonly texts: ReadonlyArray<string>
}
export interface Found {
  readonly moments: ReadonlyArray<string | null>
  readonly shown: string
}

if (import.meta.main) {
  const { now, texts }: Question = JSON.parse(process.argv[2] ?? "")
  const moments = texts.map((text) => Option.getOrNull(parseMoment(text, new Date(now)))?.toISOString() ?? null)
  console.log(JSON.stringify({ moments, shown: localTime(now) } satisfies Found))
}
