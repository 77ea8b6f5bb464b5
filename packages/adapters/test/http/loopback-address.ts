/** The system takes it away by itself after this long, should a test be cut off. */
const LEASE_SECONDS = 120
const TRIES = 20

export interface LoopbackAddress extends Disposable {
  /** Looks like any public address, but leads to this machine while it lasts. */
  readonly address: string
}

const ip = (...args: ReadonlyArray<string>): boolean => {
  try {
    return Bun.spawnSync(["ip", ...args], { stdout: "ignore", stderr: "ignore" }).success
  } catch {
    // There is no such program here.
    return false
  }
}

/**
 * Adds an address to the loopback interface that is public by its looks and that the interface does not have yet.
 * Gives `undefined` where this process may not do that: it takes Linux, the program `ip` and the right to administrate
 * the network.
 */
export const publicLoopbackAddress = (): LoopbackAddress | undefined => {
  const lease = ["valid_lft", String(LEASE_SECONDS), "preferred_lft", String(LEASE_SECONDS)]
  for (let tried = 0; tried < TRIES; tried++) {
    const address = `93.184.215.${1 + ((process.pid + tried) % 254)}`
    // Refused, too, when the address is there already: it is not ours then.
    if (ip("address", "add", `${address}/32`, "dev", "lo", ...lease)) {
      return { address, [Symbol.dispose]: () => void ip("address", "delete", `${address}/32`, "dev", "lo") }
    }
  }
  return undefined
}
