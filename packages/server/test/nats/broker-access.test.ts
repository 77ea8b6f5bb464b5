import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { nkeys } from "@nats-io/transport-node"
import { afterAll, describe, expect } from "vitest"
import { itNeeds, works } from "../faults/needs.ts"
import { removeLeftovers, Service, temporaryFolder } from "../process.ts"
import { missingNats, NatsServer } from "./nats-server.ts"
import { performs, refusalOf } from "./starting.ts"

const missingOpenssl = works("openssl", "version") ? undefined : "openssl is missing: apt-get install openssl"

afterAll(removeLeftovers)

type KeyPair = ReturnType<typeof nkeys.createUser>

const base64url = (data: string | Uint8Array): string => Buffer.from(data).toString("base64url")

/** A token of NATS: what the issuer says of the subject. */
const token = (issuer: KeyPair, subject: KeyPair, name: string, nats: object): string => {
  const claims = {
    jti: name,
    iat: Math.floor(Date.now() / 1_000),
    iss: issuer.getPublicKey(),
    name,
    sub: subject.getPublicKey(),
    nats
  }
  const content = `${base64url(JSON.stringify({ typ: "JWT", alg: "ed25519-nkey" }))}.${base64url(JSON.stringify(claims))}`
  return `${content}.${base64url(issuer.sign(new TextEncoder().encode(content)))}`
}

/** As the tools of NATS write it. */
const credentials = (jwt: string, user: KeyPair): string =>
  `-----BEGIN NATS USER JWT-----\n${jwt}\n------END NATS USER JWT------\n\n` +
  `-----BEGIN USER NKEY SEED-----\n${new TextDecoder().decode(user.getSeed())}\n------END USER NKEY SEED------\n`

describe("a start over NATS that asks who we are", () => {
  itNeeds(missingNats, "needs the right user and password where the broker asks for them", async () => {
    await using nats = await NatsServer.start('authorization { user: agent, password: "correct horse" }')
    const wrong = { NATS_URL: nats.url, NATS_USER: "agent", NATS_PASSWORD: "battery staple" }
    for (const env of [{ NATS_URL: nats.url }, wrong]) {
      const refusal = await refusalOf(env)
      expect(refusal).toMatch(/cannot use NATS: it refuses these credentials; .*NATS_USER and NATS_PASSWORD/)
      expect(refusal).not.toContain("battery")
    }
    await performs({ ...wrong, NATS_PASSWORD: "correct horse" })
  })

  itNeeds(missingNats, "takes a credentials file of an account, and no other's", async () => {
    using folder = temporaryFolder()
    const [operator, system, account] = [nkeys.createOperator(), nkeys.createAccount(), nkeys.createAccount()]
    const connections = {
      subs: -1,
      data: -1,
      payload: -1,
      imports: -1,
      exports: -1,
      wildcards: true,
      conn: -1,
      leaf: -1
    }
    const storage = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 }
    const preload = (one: KeyPair, name: string, limits: object) =>
      `${one.getPublicKey()}: ${token(operator, one, name, { limits, type: "account", version: 2 })}`
    await using nats = await NatsServer.start(
      [
        `operator: ${token(operator, operator, "operator", { type: "operator", version: 2 })}`,
        "resolver: MEMORY",
        `system_account: ${system.getPublicKey()}`,
        `resolver_preload: { ${preload(system, "SYS", connections)}\n${preload(account, "agent", { ...connections, ...storage })} }`
      ].join("\n")
    )
    const fileOf = (name: string, issuer: KeyPair): string => {
      const user = nkeys.createUser()
      const jwt = token(issuer, user, name, { subs: -1, data: -1, payload: -1, type: "user", version: 2 })
      const path = join(folder.path, `${name}.creds`)
      writeFileSync(path, credentials(jwt, user), { mode: 0o600 })
      return path
    }
    await performs({ NATS_URL: nats.url, NATS_CREDENTIALS_FILE: fileOf("ours", account) })
    const foreign = { NATS_URL: nats.url, NATS_CREDENTIALS_FILE: fileOf("theirs", nkeys.createAccount()) }
    for (const env of [foreign, { NATS_URL: nats.url }]) {
      expect(await refusalOf(env)).toMatch(/cannot use NATS: it refuses these credentials; .*NATS_CREDENTIALS_FILE/)
    }
    const path = join(folder.path, "absent.creds")
    expect(await refusalOf({ NATS_URL: nats.url, NATS_CREDENTIALS_FILE: path })).toContain(path)
  })

  itNeeds(
    missingNats ?? missingOpenssl,
    "uses TLS, with a server whose certificate is from the authority that is set, and shows its own where it is asked for",
    async () => {
      using folder = temporaryFolder()
      const file = (name: string) => join(folder.path, name)
      const openssl = (command: string) => {
        const { exitCode, stderr } = Bun.spawnSync(["openssl", ...command.split(" ")], { cwd: folder.path })
        if (exitCode !== 0) throw new Error(stderr.toString())
      }
      const newKey = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
      for (const name of ["ca", "other"]) {
        openssl(`req -x509 ${newKey} -subj /CN=${name} -keyout ${name}.key -out ${name}.pem`)
      }
      writeFileSync(file("san"), "subjectAltName=IP:127.0.0.1")
      for (const [name, authority] of [
        ["nats", "ca"],
        ["agent", "ca"],
        ["stranger", "other"]
      ]) {
        openssl(`req ${newKey} -subj /CN=${name} -keyout ${name}.key -out ${name}.csr`)
        const signed = `-CA ${authority}.pem -CAkey ${authority}.key -CAcreateserial -days 2`
        openssl(`x509 -req -in ${name}.csr ${signed} -extfile san -out ${name}.pem`)
      }
      const serverFiles = `cert_file: "${file("nats.pem")}", key_file: "${file("nats.key")}"`
      const overTls = ({ url }: NatsServer) => url.replace("nats://", "tls://")
      const trusting = { NATS_TLS_CA_FILE: file("ca.pem") }
      {
        await using nats = await NatsServer.start(`tls { ${serverFiles} }`)
        await performs({ NATS_URL: overTls(nats), ...trusting })
        for (const env of [{ NATS_URL: overTls(nats), NATS_TLS_CA_FILE: file("other.pem") }, { NATS_URL: nats.url }]) {
          expect(await refusalOf(env)).toMatch(/cannot use NATS: unable to verify .*certificate; .*NATS_TLS/)
        }
      }
      {
        await using asking = await NatsServer.start(
          `tls { ${serverFiles}, ca_file: "${file("ca.pem")}", verify: true }`
        )
        const showing = (name: string) => ({
          NATS_URL: overTls(asking),
          ...trusting,
          NATS_TLS_CERT_FILE: file(`${name}.pem`),
          NATS_TLS_KEY_FILE: file(`${name}.key`)
        })
        await performs(showing("agent"))
        const isRefused = async (env: Readonly<Record<string, string>>) => {
          // TLS 1.3 lets the client know only after the handshake, and Bun not at all.
          await using service = await Service.start(env)
          const { status, detail } = await (await service.fetch("/health/ready")).json()
          expect(status).toBe("degraded")
          expect(detail).toContain("look at NATS_TLS_CERT_FILE")
        }
        await Promise.all([showing("stranger"), { NATS_URL: overTls(asking), ...trusting }].map(isRefused))
      }
      await using plain = await NatsServer.start()
      expect(await refusalOf({ NATS_URL: overTls(plain) })).toMatch(/cannot use NATS: server does not support 'tls'/)
    }
  )
})
