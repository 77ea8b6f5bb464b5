import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { works } from "./needs.ts"

export interface SmallDisk extends Disposable {
  readonly path: string
}

const mounted = new Set<SmallDisk>()

/** Takes away the disks that a test that was cut off has left behind. For `afterAll`, after `removeLeftovers`. */
export const removeSmallDisks = (): void => {
  for (const disk of mounted) disk[Symbol.dispose]()
}

/** A file system of its own, in memory, that is gone after the test. Throws where this user may not mount one. */
export const smallDisk = (megabytes: number): SmallDisk => {
  const path = mkdtempSync(join(tmpdir(), "event-service-disk-"))
  if (!works("mount", "-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", path)) {
    rmSync(path, { recursive: true })
    throw new Error("mounting a tmpfs is not allowed")
  }
  const disk: SmallDisk = {
    path,
    [Symbol.dispose]: () => {
      if (!mounted.delete(disk)) return
      works("umount", "--lazy", path)
      rmSync(path, { recursive: true })
    }
  }
  mounted.add(disk)
  return disk
}

/** Why there can be no small disk, if so. */
export const smallDiskMissing = (): string | undefined => {
  try {
    smallDisk(1)[Symbol.dispose]()
    return undefined
  } catch {
    return "mounting a tmpfs is not allowed here; run the tests as root, in a container with CAP_SYS_ADMIN"
  }
}
