import { it } from "vitest"

/**
 * Declares a test that needs something of the machine. Where that is missing, the test is skipped and its name says so;
 * under CI, which installs it, the test fails.
 *
 * @param missing what is missing and how to get it, `undefined` when nothing is
 */
export const itNeeds = (missing: string | undefined, behaviour: string, body: () => Promise<void>): void => {
  if (missing === undefined) {
    it(behaviour, body)
  } else if (process.env["CI"] === "true") {
    it(behaviour, () => {
      throw new Error(missing)
    })
  } else {
    it.skip(`${behaviour} (skipped: ${missing})`, body)
  }
}

/** Whether the command exists and does what it is asked here. */
export const works = (...command: ReadonlyArray<string>): boolean => {
  try {
    return Bun.spawnSync([...command], { stdout: "ignore", stderr: "ignore" }).exitCode === 0
  } catch {
    return false
  }
}
