/**
 * Runs the work at once and then, however often it is asked for, one at a time and no sooner than after the pause. What
 * was asked for in between is done once more at its end.
 *
 * @param pauseMs milliseconds
 */
export const throttled = (pauseMs: number, work: () => Promise<void>): (() => void) => {
  let isBusy = false
  let isWanted = false
  const run = async () => {
    isBusy = true
    isWanted = false
    await work()
    setTimeout(() => {
      isBusy = false
      if (isWanted) void run()
    }, pauseMs)
  }
  return () => {
    isWanted = true
    if (!isBusy) void run()
  }
}
