/**
 * io/blkif.h: requests and responses of a PV disk. A ring entry is as large as blkif_request; its operation says which
 * of the three requests it holds. Sectors are of 512 bytes whatever the disk's own are.
 */
import { array, constants, i16, struct, u8, u16, u32, u64 } from '../struct.ts'

export const BLKIF_OP = constants('BLKIF_OP', {
  READ: 0,
  WRITE: 1,
  WRITE_BARRIER: 2,
  FLUSH_DISKCACHE: 3,
  DISCARD: 5,
  INDIRECT: 6,
})
export const BLKIF_RSP = constants('BLKIF_RSP', { OKAY: 0, ERROR: -1, EOPNOTSUPP: -2 })
/** Bits of the backend's `info` node. */
export const VDISK = constants('VDISK', { CDROM: 1, REMOVABLE: 2, READONLY: 4 })

export const BLKIF_SECTOR = 512
export const BLKIF_MAX_SEGMENTS_PER_REQUEST = 11
export const BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST = 8

export const blkif_request_segment = struct('blkif_request_segment', 'io/blkif.h', {
  gref: u32('granted page'),
  first_sect: u8('first sector in the page'),
  last_sect: u8('last one, inclusive'),
})

export const blkif_request = struct('blkif_request', 'io/blkif.h', {
  operation: u8(),
  nr_segments: u8(),
  handle: u16(),
  id: u64('echoed in the response'),
  sector_number: u64('first sector on the disk'),
  seg: array(blkif_request_segment.in(), BLKIF_MAX_SEGMENTS_PER_REQUEST),
})

export const blkif_request_discard = struct('blkif_request_discard', 'io/blkif.h', {
  operation: u8(),
  flag: u8('bit 0: secure'),
  handle: u16(),
  id: u64(),
  sector_number: u64(),
  nr_sectors: u64(),
})

/** A 32-bit guest's has eight bytes of padding at the end, which nobody reads. */
export const blkif_request_indirect = struct(
  'blkif_request_indirect',
  'io/blkif.h',
  {
    operation: u8(),
    indirect_op: u8('READ or WRITE'),
    nr_segments: u16(),
    id: u64(),
    sector_number: u64(),
    handle: u16(),
    indirect_grefs: array(u32('pages of blkif_request_segment'), BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST),
  },
  { abis: [64] },
)

export const blkif_response = struct('blkif_response', 'io/blkif.h', {
  id: u64(),
  operation: u8('of the request; of an indirect one the inner'),
  status: i16(),
})
