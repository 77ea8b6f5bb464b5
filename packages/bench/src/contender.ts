/** One call of a workload: a POST of a small JSON body to the target. */
export interface Call {
  /** Unique in a measurement: the target counts by it. */
  readonly id: number
  /** Milliseconds since 1970, or null for now. */
  readonly dueAt: number | null
}

/** Submissions that were acknowledged: from then on the call survives a crash. */
export interface Submitted {
  /** From the first submission to the last acknowledgement. */
  readonly tookMs: number
  /** Of each acknowledgement, ascending. */
  readonly latenciesMs: ReadonlyArray<number>
}

export interface Place {
  /** Its own; what is in it from an earlier run is taken up again. */
  readonly folder: string
  /** Without a slash at the end. */
  readonly targetUrl: string
}

/** A system that performs calls, started on a folder. */
export interface Running {
  /** Submits with so many clients, each of which waits for an acknowledgement before its next submission. */
  readonly submit: (calls: ReadonlyArray<Call>, clients: number) => Promise<Submitted>
  /** How many calls have got their outcome durably recorded since the start. */
  readonly finished: () => Promise<number>
  /** Its processes without their own children, and without what only generates the load. */
  readonly pids: ReadonlyArray<number>
  /** Milliseconds from the start of the process until it took calls. */
  readonly startedInMs: number
  /** Merges its logs into its data where it can, and says how many bytes both take. */
  readonly bytesOnDisk: () => Promise<number>
  readonly stop: () => Promise<void>
}

export interface Contender {
  readonly name: string
  /** Versions and settings, for the table. */
  readonly settings: string
  /** Why it cannot run on this machine; undefined when it can. */
  readonly missing: string | undefined
  readonly start: (place: Place) => Promise<Running>
}

/** The path under which the target counts a call. */
export const pathOf = ({ id }: Call): string => `/call?id=${id}`

/** What every call sends. */
export const BODY = '{"a":1}'
