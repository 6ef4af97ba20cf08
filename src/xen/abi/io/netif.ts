/**
 * io/netif.h: requests and responses of a PV network interface, and of its control ring. A packet is one or more slots
 * of a ring; extra slots behind the first say more about it. An entry of the transmit ring is as large as
 * netif_tx_request, one of the receive ring as netif_rx_request; an extra slot takes the place of an entry.
 */
import { bytes, constants, i16, struct, u8, u16, u32 } from '../struct.ts'

export const NETTXF = constants('NETTXF', { csum_blank: 1, data_validated: 2, more_data: 4, extra_info: 8 })
export const NETRXF = constants('NETRXF', { data_validated: 1, csum_blank: 2, more_data: 4, extra_info: 8 })
/** XDP is Linux' own: the header of Xen does not have it. */
export const XEN_NETIF_EXTRA_TYPE = constants('XEN_NETIF_EXTRA_TYPE', {
  GSO: 1,
  MCAST_ADD: 2,
  MCAST_DEL: 3,
  HASH: 4,
  XDP: 5,
})
export const XEN_NETIF_EXTRA_FLAG_MORE = 1
export const XEN_NETIF_GSO_TYPE = constants('XEN_NETIF_GSO_TYPE', { NONE: 0, TCPV4: 1, TCPV6: 2 })
export const NETIF_RSP = constants('NETIF_RSP', { DROPPED: -2, ERROR: -1, OKAY: 0, NULL: 1 })

/** Slots of data that a packet may have. */
export const XEN_NETIF_NR_SLOTS_MIN = 18
/** Bytes of the largest packet. */
export const XEN_NETIF_MAX_TX_SIZE = 0xffff

export const netif_tx_request = struct('netif_tx_request', 'io/netif.h', {
  gref: u32('granted page'),
  offset: u16('where in the page the bytes begin'),
  flags: u16('NETTXF_*'),
  id: u16('echoed in the response'),
  size: u16('of the whole packet in the first slot, of its own bytes in others'),
})
export const netif_tx_response = struct('netif_tx_response', 'io/netif.h', {
  id: u16(),
  status: i16('NETIF_RSP_*'),
})
export const netif_rx_request = struct('netif_rx_request', 'io/netif.h', {
  id: u16('echoed in the response'),
  pad: u16(),
  gref: u32('granted page to be filled'),
})
export const netif_rx_response = struct('netif_rx_response', 'io/netif.h', {
  id: u16(),
  offset: u16('where in the page the bytes begin'),
  flags: u16('NETRXF_*'),
  status: i16('bytes, or NETIF_RSP_*'),
})

/** With the members of the union that GSO has. */
export const netif_extra_info = struct(
  'netif_extra_info',
  'io/netif.h',
  {
    type: u8('XEN_NETIF_EXTRA_TYPE_*'),
    flags: u8('bit 0: another extra slot follows'),
    gso_size: u16('bytes of data in each segment'),
    gso_type: u8('XEN_NETIF_GSO_TYPE_*'),
    gso_pad: u8(),
    gso_features: u16('0'),
  },
  {
    cnames: {
      gso_size: 'u.gso.size',
      gso_type: 'u.gso.type',
      gso_pad: 'u.gso.pad',
      gso_features: 'u.gso.features',
    },
  },
)
/** The same slot with a multicast address. */
export const netif_extra_mcast = struct('netif_extra_mcast', '', {
  type: u8(),
  flags: u8(),
  addr: bytes(6, 'multicast address'),
})

export const XEN_NETIF_CTRL_TYPE = constants('XEN_NETIF_CTRL_TYPE', {
  GET_HASH_FLAGS: 1,
  SET_HASH_FLAGS: 2,
  SET_HASH_KEY: 3,
  GET_HASH_MAPPING_SIZE: 4,
  SET_HASH_MAPPING_SIZE: 5,
  SET_HASH_MAPPING: 6,
  SET_HASH_ALGORITHM: 7,
})
export const XEN_NETIF_CTRL_STATUS = constants('XEN_NETIF_CTRL_STATUS', {
  SUCCESS: 0,
  NOT_SUPPORTED: 1,
  INVALID_PARAMETER: 2,
  BUFFER_OVERFLOW: 3,
})
export const XEN_NETIF_CTRL_HASH_TYPE = constants('XEN_NETIF_CTRL_HASH_TYPE', {
  IPV4: 1,
  IPV4_TCP: 2,
  IPV6: 4,
  IPV6_TCP: 8,
})
export const XEN_NETIF_CTRL_HASH_ALGORITHM = constants('XEN_NETIF_CTRL_HASH_ALGORITHM', {
  NONE: 0,
  TOEPLITZ: 1,
})

export const xen_netif_ctrl_request = struct(
  'xen_netif_ctrl_request',
  'io/netif.h',
  {
    id: u16('echoed in the response'),
    type: u16('XEN_NETIF_CTRL_TYPE_*'),
    data0: u32(),
    data1: u32(),
    data2: u32(),
  },
  { cnames: { data0: 'data[0]', data1: 'data[1]', data2: 'data[2]' } },
)
export const xen_netif_ctrl_response = struct('xen_netif_ctrl_response', 'io/netif.h', {
  id: u16(),
  type: u16(),
  status: u32('XEN_NETIF_CTRL_STATUS_*'),
  data: u32(),
})
