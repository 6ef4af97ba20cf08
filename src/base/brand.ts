/**
 * Branded numbers: an id of one kind cannot be passed where another is wanted.
 *
 * The brand exists for the compiler only; at run time these are plain numbers.
 */

declare const brand: unique symbol
type Branded<Name extends string> = number & { readonly [brand]: Name }

/** Domain id, 0..0x7fef for real domains (xen.h, DOMID_FIRST_RESERVED). */
export type Domid = Branded<'Domid'>
/** Event-channel port, local to one domain (event_channel.h, evtchn_port_t). */
export type Port = Branded<'Port'>
/** Grant reference: index of an entry of one domain's grant table (grant_table.h, grant_ref_t). */
export type Gref = Branded<'Gref'>
/** Guest frame number: guest-physical address divided by 4096. */
export type Gfn = Branded<'Gfn'>

export const domid = (n: number): Domid => n as Domid
export const port = (n: number): Port => n as Port
export const gref = (n: number): Gref => n as Gref
export const gfn = (n: number): Gfn => n as Gfn
