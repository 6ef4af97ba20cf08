/**
 * What a ring entry asks for (io/blkif.h), judged against the disk: sectors inside it, segments inside their pages.
 * Pure: an entry is a private copy, and so is the table of an indirect request that the caller fetches.
 */
import { type Gref, gref } from '../../base/brand.ts'
import {
  BLKIF_MAX_SEGMENTS_PER_REQUEST,
  BLKIF_OP,
  BLKIF_SECTOR,
  blkif_request,
  blkif_request_discard,
  blkif_request_indirect,
  blkif_request_segment,
} from '../../xen/abi/io/blkif.ts'
import type { Abi } from '../../xen/abi/struct.ts'

/** Most segments of an indirect request, as Linux' backend has it; they fit into one page. */
export const MAX_INDIRECT_SEGMENTS = 256
const SECTORS_PER_PAGE = 4096 / BLKIF_SECTOR

/** Some sectors of a granted page, as bytes from `from` up to `to`. */
export interface Segment {
  readonly ref: Gref
  readonly from: number
  readonly to: number
}

/** What the disk lets a guest do. */
export interface Limits {
  /** Units of 512 bytes. */
  readonly sectors: number
  /** Bytes of the disk's own sectors: nothing smaller may be asked for. */
  readonly sectorSize: number
  readonly readOnly: boolean
  readonly canDiscard: boolean
}

interface Answerable {
  readonly id: bigint
  /** The operation that the response names. */
  readonly operation: number
}
export type Request = Answerable &
  (
    | { readonly kind: 'read'; readonly position: number; readonly segments: readonly Segment[] }
    | {
        readonly kind: 'write'
        readonly position: number
        readonly segments: readonly Segment[]
        /** What must be on the medium before it is written, and whether it must be there itself when it is answered. */
        readonly flushBefore: boolean
        readonly flushAfter: boolean
      }
    | { readonly kind: 'flush' }
    | { readonly kind: 'discard'; readonly position: number; readonly length: number }
    /** GUEST: nonsense; `why` is for the log. */
    | { readonly kind: 'wrong'; readonly why: string }
    | { readonly kind: 'unsupported' }
  )

/** Copies out the segments of an indirect request, undefined if the page cannot be read. */
export type FetchTable = (page: Gref, bytes: number) => Uint8Array | undefined

/** Reads one entry. `table` is called for indirect requests that are right so far. */
export function readRequest(entry: DataView, abi: Abi, limits: Limits, table: FetchTable): Request {
  // The first byte of all three.
  const operation = entry.getUint8(0)
  if (operation === BLKIF_OP.DISCARD) return readDiscard(entry, abi, limits)
  const isIndirect = operation === BLKIF_OP.INDIRECT
  return isIndirect ? readIndirect(entry, abi, limits, table) : readDirect(entry, abi, limits)
}

/** The hot path: of eleven segments only those that are used are read. */
function readDirect(entry: DataView, abi: Abi, limits: Limits): Request {
  const { offsets } = blkif_request.for(abi)
  const head = { id: entry.getBigUint64(offsets.id, true), operation: entry.getUint8(offsets.operation) }
  const count = entry.getUint8(offsets.nr_segments)
  if (count > BLKIF_MAX_SEGMENTS_PER_REQUEST) return { ...head, kind: 'wrong', why: `${count} segments` }
  const sector = entry.getBigUint64(offsets.sector_number, true)
  return transfer(head, sector, readSegments(entry, offsets.seg, count, abi), limits)
}

function readSegments(view: DataView, from: number, count: number, abi: Abi): RawSegment[] {
  const { size, offsets } = blkif_request_segment.for(abi)
  const segments: RawSegment[] = []
  for (let at = from; at < from + count * size; at += size)
    segments.push({
      gref: view.getUint32(at + offsets.gref, true),
      first_sect: view.getUint8(at + offsets.first_sect),
      last_sect: view.getUint8(at + offsets.last_sect),
    })
  return segments
}

function readIndirect(entry: DataView, abi: Abi, limits: Limits, table: FetchTable): Request {
  const { id, indirect_op, nr_segments, sector_number, indirect_grefs } = blkif_request_indirect
    .for(abi)
    .copy(entry)
  // XEN: answered with the inner operation; Linux' frontend stops using a disk that answers otherwise.
  const head = { id, operation: indirect_op }
  if (indirect_op !== BLKIF_OP.READ && indirect_op !== BLKIF_OP.WRITE)
    return { ...head, kind: 'wrong', why: `indirect operation ${indirect_op}` }
  if (nr_segments > MAX_INDIRECT_SEGMENTS)
    return { ...head, kind: 'wrong', why: `${nr_segments} indirect segments` }
  const { size } = blkif_request_segment.for(abi)
  const page = gref(indirect_grefs[0]!)
  const bytes = nr_segments === 0 ? new Uint8Array(0) : table(page, nr_segments * size)
  if (bytes === undefined) return { ...head, kind: 'wrong', why: `indirect page ${page} is not granted` }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  return transfer(head, sector_number, readSegments(view, 0, nr_segments, abi), limits)
}

interface RawSegment {
  readonly gref: number
  readonly first_sect: number
  readonly last_sect: number
}

function transfer(head: Answerable, first: bigint, raw: readonly RawSegment[], limits: Limits): Request {
  const { operation } = head
  const isFlush = operation === BLKIF_OP.FLUSH_DISKCACHE
  const isBarrier = operation === BLKIF_OP.WRITE_BARRIER
  const isRead = operation === BLKIF_OP.READ
  if (!isRead && operation !== BLKIF_OP.WRITE && !isFlush && !isBarrier)
    return { ...head, kind: 'unsupported' }
  const wrong = (why: string): Request => ({ ...head, kind: 'wrong', why })
  if (!isRead && limits.readOnly) return wrong(`${BLKIF_OP.nameOf(operation)} on a read-only disk`)
  if (raw.length === 0) return isFlush || isBarrier ? { ...head, kind: 'flush' } : wrong('no segments')

  const segments: Segment[] = []
  let sectors = 0
  for (const { gref: page, first_sect, last_sect } of raw) {
    if (first_sect > last_sect || last_sect >= SECTORS_PER_PAGE)
      return wrong(`sectors ${first_sect} to ${last_sect} of a page`)
    segments.push({ ref: gref(page), from: first_sect * BLKIF_SECTOR, to: (last_sect + 1) * BLKIF_SECTOR })
    sectors += last_sect + 1 - first_sect
  }
  if (!isInside(first, BigInt(sectors), limits)) return wrong(`${sectors} sectors from ${first}`)
  const position = Number(first) * BLKIF_SECTOR
  if ((position | (sectors * BLKIF_SECTOR)) % limits.sectorSize !== 0)
    return wrong(`${sectors} sectors from ${first}: not whole sectors of ${limits.sectorSize} bytes`)
  if (isRead) return { ...head, kind: 'read', position, segments }
  return {
    ...head,
    kind: 'write',
    position,
    segments,
    flushBefore: isFlush || isBarrier,
    flushAfter: isBarrier,
  }
}

function readDiscard(entry: DataView, abi: Abi, limits: Limits): Request {
  const { id, operation, flag, sector_number, nr_sectors } = blkif_request_discard.for(abi).copy(entry)
  const head = { id, operation }
  // A secure discard was not offered.
  if (!limits.canDiscard || flag !== 0) return { ...head, kind: 'unsupported' }
  if (nr_sectors === 0n || !isInside(sector_number, nr_sectors, limits))
    return { ...head, kind: 'wrong', why: `discard of ${nr_sectors} sectors from ${sector_number}` }
  const position = Number(sector_number) * BLKIF_SECTOR
  return { ...head, kind: 'discard', position, length: Number(nr_sectors) * BLKIF_SECTOR }
}

/** GUEST: both numbers have 64 bits; their sum is taken where it cannot wrap. */
function isInside(first: bigint, count: bigint, { sectors }: Limits): boolean {
  return first + count <= BigInt(sectors)
}

/** In one line, for `xt trace`. */
export function describeRequest(request: Request): string {
  const { id, kind } = request
  switch (request.kind) {
    case 'read':
    case 'write': {
      const bytes = request.segments.reduce((sum, { from, to }) => sum + to - from, 0)
      const pages = request.segments.length
      return `${kind} ${id}: ${bytes} bytes at ${request.position}, ${pages} ${pages === 1 ? 'page' : 'pages'}`
    }
    case 'discard':
      return `${kind} ${id}: ${request.length} bytes at ${request.position}`
    case 'wrong':
      return `refused ${id}: ${request.why}`
    case 'unsupported':
      return `unsupported ${id}: operation ${request.operation}`
    default:
      return `${kind} ${id}`
  }
}
