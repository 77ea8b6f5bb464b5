const FIRST = 10_000
const LAST = 30_000

/**
 * A port of 127.0.0.1 that nobody listens on. It is below those that the system gives to connections that go out, so that
 * it is still free after a restart; one of these could even connect to itself.
 */
export const freePort = (): number => {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST))
    try {
      Bun.listen({ hostname: "127.0.0.1", port, socket: { data: () => {} } }).stop(true)
      return port
    } catch {
      // Somebody has it.
    }
  }
}
