import { connect, type Socket } from "node:net"
import { statusesIn } from "./wire.ts"

/** One of many connections that are open at the same time. */
export interface Line {
  readonly send: (text: string) => void
  /** All that has come back. */
  readonly text: () => string
  readonly statuses: () => ReadonlyArray<number>
  readonly isClosed: () => boolean
}

export interface Lines extends Disposable {
  readonly all: ReadonlyArray<Line>
}

/** Opens connections to a server on this machine, and waits until they stand. */
export const openLines = async (url: string, count: number): Promise<Lines> => {
  const sockets: Array<Socket> = []
  const port = Number(new URL(url).port)
  const all = await Promise.all(Array.from({ length: count }, () => openLine(port, sockets)))
  return {
    all,
    [Symbol.dispose]: () => {
      for (const socket of sockets) socket.destroy()
    }
  }
}

const openLine = async (port: number, sockets: Array<Socket>): Promise<Line> => {
  const chunks: Array<string> = []
  const standing = Promise.withResolvers<void>()
  let isClosed = false
  const socket = connect(port, "127.0.0.1")
  sockets.push(socket)
  socket
    .setEncoding("latin1")
    .on("connect", standing.resolve)
    .on("data", (chunk: string) => chunks.push(chunk))
    .on("error", () => {})
    .on("close", () => {
      isClosed = true
      standing.resolve()
    })
  await standing.promise
  return {
    send: (text) => socket.write(text, "latin1"),
    text: () => chunks.join(""),
    statuses: () => statusesIn(chunks.join("")),
    isClosed: () => isClosed
  }
}
