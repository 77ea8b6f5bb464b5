import { readFileSync, statSync } from "node:fs"

// The format is described at https://sqlite.org/walformat.html.
const HEADER_BYTES = 32
const FRAME_HEADER_BYTES = 24
const MAGIC_LITTLE_ENDIAN = 0x377f0682
const MAGIC_BIG_ENDIAN = 0x377f0683
const CHECKSUM_BYTES = 8
/** Larger files, logs or databases, are not read through at the start, which would take seconds. */
export const CHECKED_BYTES_MAX = 256 * 1024 * 1024

/**
 * Whether SQLite would leave out changes that were on disk: it reads a write-ahead log up to the first frame whose
 * checksum is wrong. At the end that is right: a crash was in the middle of a commit. But behind a commit nothing is
 * written before it is synced, so what has a commit and a good frame behind it had been on disk as a whole.
 */
export const isWalDamaged = (path: string): boolean => {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0
  if (size < HEADER_BYTES || size > CHECKED_BYTES_MAX) return false
  const bytes = readFileSync(path)
  // As a power cut can leave a new one.
  if (bytes.every((byte) => byte === 0)) return false
  const magic = bytes.readUInt32BE(0)
  if (magic !== MAGIC_LITTLE_ENDIAN && magic !== MAGIC_BIG_ENDIAN) return true
  const checksum = checksumOf(bytes, magic === MAGIC_BIG_ENDIAN)
  const pageBytes = bytes.readUInt32BE(8)
  if (!matches(checksum(0, 24, [0, 0]), bytes, 24) || pageBytes < 512) return true

  let before = sumAt(bytes, 24)
  let isBroken = false
  let wasCommit = false
  const frameBytes = FRAME_HEADER_BYTES + pageBytes
  for (let at = HEADER_BYTES; at + frameBytes <= bytes.byteLength; at += frameBytes) {
    const page = at + FRAME_HEADER_BYTES
    const stored = page - CHECKSUM_BYTES
    // The salt tells the frames of this log from those that are left of an earlier one.
    const isCurrent = bytes.compare(bytes, 16, 24, at + 8, at + 16) === 0
    const isWhole = isCurrent && matches(checksum(page, page + pageBytes, checksum(at, at + 8, before)), bytes, stored)
    if (isBroken && wasCommit && isWhole) return true
    isBroken ||= !isWhole
    wasCommit = isCurrent && bytes.readUInt32BE(at + 4) !== 0
    before = sumAt(bytes, stored)
  }
  return false
}

type Sum = readonly [number, number]

const sumAt = (bytes: Buffer, at: number): Sum => [bytes.readUInt32BE(at), bytes.readUInt32BE(at + 4)]

const matches = (sum: Sum, bytes: Buffer, at: number): boolean =>
  sum[0] === bytes.readUInt32BE(at) && sum[1] === bytes.readUInt32BE(at + 4)

const checksumOf = (bytes: Buffer, isBigEndian: boolean) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return (start: number, end: number, before: Sum): Sum => {
    let [first, second] = before
    for (let at = start; at < end; at += 8) {
      first = (first + view.getUint32(at, !isBigEndian) + second) >>> 0
      second = (second + view.getUint32(at + 4, !isBigEndian) + first) >>> 0
    }
    return [first, second]
  }
}
