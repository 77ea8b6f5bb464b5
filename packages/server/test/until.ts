const POLL_INTERVAL_MS = 5

/**
 * Waits until the probe gives something other than `undefined` or `false`, and returns it. Fails at the deadline, with
 * `what` was waited for.
 */
export const until = async <A>(
  what: string,
  probe: () => A | Promise<A>,
  deadlineMs = 30_000
): Promise<Exclude<A, undefined | false>> => {
  const startedAt = performance.now()
  for (;;) {
    const found = await probe()
    if (isFound(found)) return found
    if (performance.now() - startedAt > deadlineMs) throw new Error(`waited ${deadlineMs} ms in vain until ${what}`)
    await Bun.sleep(POLL_INTERVAL_MS)
  }
}

const isFound = <A>(found: A): found is Exclude<A, undefined | false> => found !== undefined && found !== false
