import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

/** What is looked for in files, by the name that a failure tells. */
export type Needles = ReadonlyMap<string, ReadonlyArray<Uint8Array>>

/** Which needles are in which files of a folder, as `name in file`, each once. */
export const findInFiles = (
  folder: string,
  needles: Needles,
  isExempt: (file: string) => boolean = () => false
): ReadonlyArray<string> =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !isExempt(entry.name))
    .flatMap((entry) => {
      const bytes = readFileSync(join(entry.parentPath, entry.name))
      return findInBytes(bytes, needles).map((name) => `${name} in ${entry.name}`)
    })

export const findInBytes = (bytes: Buffer, needles: Needles): ReadonlyArray<string> =>
  [...needles].filter(([, any]) => any.some((needle) => bytes.includes(needle))).map(([name]) => name)
