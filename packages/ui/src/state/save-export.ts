import { authorization } from "./key.ts"
import { say } from "./notices.ts"

/** Saves what is at the path as a file, with the key that it needs. The browser holds all of it meanwhile. */
export const saveExport = async (path: string): Promise<void> => {
  try {
    const response = await fetch(path, { headers: authorization() })
    if (!response.ok) return say(`The export was refused: ${response.status}`, "bad")
    const link = document.createElement("a")
    link.href = URL.createObjectURL(await response.blob())
    link.download = "service-calls.ndjson"
    link.click()
    URL.revokeObjectURL(link.href)
  } catch {
    say("The export broke off", "bad")
  }
}
