/**
 * The host side of a network interface: where its frames go and come from. passt.ts, vde.ts and tap.ts are its kinds.
 *
 * A frame is an Ethernet frame without preamble and checksum.
 */

/** Frames one behind the other in one buffer, each with the port's headroom before it and nothing between. */
export interface FrameBatch {
  readonly bytes: Uint8Array
  /** Views of `bytes`. */
  readonly frames: readonly Uint8Array[]
}

export interface PortHandlers {
  /** Frames for the guest. They are the receiver's own from now on. */
  receive(frames: readonly Uint8Array[]): void
  /** After `send` answered false: it takes more now. */
  drained(): void
  /** The other side has gone: what, for people. */
  closed(why: string): void
}

export interface HostPort extends AsyncDisposable {
  /** Bytes to be left free before each frame, for the port's own use. */
  readonly headroom: number
  /** The longest frame it takes; longer TCP packets are to be cut before. */
  readonly maxFrameBytes: number
  /** What it brings has crossed no wire: nobody needs to check its checksums. */
  readonly isVerified: boolean
  /** For people: what it is connected to. */
  readonly description: string
  /** Called once the interface's nodes are in xenstore, before the guest is waited for. */
  plug?(): Promise<void>
  /** Begins: to be called once. */
  listen(handlers: PortHandlers): void
  /** Takes the batch over. False: it has enough for now, `drained` follows. */
  send(batch: FrameBatch): boolean
  /** Brings no more frames until `resume`. */
  pause(): void
  resume(): void
}
