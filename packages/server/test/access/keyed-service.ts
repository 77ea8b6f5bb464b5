import { readFileSync } from "node:fs"
import { join } from "node:path"
import type { Key, NewKey, NewKeyBody } from "@event-service-agent/api/representations"
import { json } from "../client.ts"
import { type Environment, Service, type Start } from "../process.ts"

export type MadeKey = (typeof NewKey)["Encoded"]
export type ListedKey = (typeof Key)["Encoded"]

/** The headers of a request with a key. */
export const withKey = (key: string): Readonly<Record<string, string>> => ({ authorization: `Bearer ${key}` })

export const adminKeyFileOf = ({ folder }: Service): string => join(folder, "admin.key")

/** The key that the first start made. */
export const adminKeyOf = (service: Service): string => readFileSync(adminKeyFileOf(service), "utf8").trim()

export const startKeyed = (env: Environment = {}, how: Start = {}): Promise<Service> =>
  Service.start({ AUTH: "on", ...env }, how)

/** Makes a key, expecting 201. */
export const makeKey = async (
  service: Service,
  body: (typeof NewKeyBody)["Encoded"],
  admin = adminKeyOf(service)
): Promise<MadeKey> => {
  const response = await service.fetch("/api/admin/keys", json(body, withKey(admin)))
  if (response.status !== 201) throw new Error(`the answer is ${response.status}: ${await response.text()}`)
  return response.json()
}

/** Revokes a key, expecting 204. */
export const revokeKey = async (service: Service, keyId: string, admin = adminKeyOf(service)): Promise<void> => {
  const response = await service.fetch(`/api/admin/keys/${keyId}`, { method: "DELETE", headers: withKey(admin) })
  if (response.status !== 204) throw new Error(`the answer is ${response.status}: ${await response.text()}`)
}
