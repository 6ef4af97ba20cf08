/** The thread that reads a tap device: waits for frames, and hands over all that are there in one message. */
import { parentPort, workerData } from 'node:worker_threads'
import koffi from 'koffi'
import { READER_WORDS, type ReaderData, type ReaderMessage } from './tap.ts'

/** How often it looks whether it shall end. */
const LOOK_MS = 200
const BATCH_BYTES = 256 * 1024
const MOST_FRAMES = 128
const LONGEST_FRAME = 65_553
/** Messages that may be underway before the main thread is waited for. */
const MOST_UNDERWAY = 8
const POLLIN = 1

const { fd, words: buffer } = workerData as ReaderData
const words = new Int32Array(buffer)
const libc = koffi.load('libc.so.6')
const poll = libc.func('int poll(void *, unsigned long, int)')
const read = libc.func('int64_t read(int, void *, size_t)')

const post = (message: ReaderMessage, transfer: ArrayBuffer[] = []) =>
  parentPort!.postMessage(message, transfer)

function readAll(): void {
  const bytes = new Uint8Array(BATCH_BYTES)
  const lengths: number[] = []
  let at = 0
  while (lengths.length < MOST_FRAMES && at + LONGEST_FRAME <= BATCH_BYTES) {
    const length = Number(read(fd, bytes.subarray(at), LONGEST_FRAME))
    if (length <= 0) break
    lengths.push(length)
    at += length
  }
  if (lengths.length === 0) return
  Atomics.add(words, READER_WORDS.underway, 1)
  post({ bytes, lengths }, [bytes.buffer])
}

const request = Buffer.alloc(8)
request.writeInt32LE(fd, 0)
request.writeInt16LE(POLLIN, 4)
while (Atomics.load(words, READER_WORDS.isOver) === 0) {
  Atomics.wait(words, READER_WORDS.isPaused, 1, LOOK_MS)
  if (Atomics.load(words, READER_WORDS.isPaused) === 1) continue
  const underway = Atomics.load(words, READER_WORDS.underway)
  if (underway >= MOST_UNDERWAY) Atomics.wait(words, READER_WORDS.underway, underway, LOOK_MS)
  else if (poll(request, 1, LOOK_MS) > 0) {
    const found = request.readInt16LE(6)
    if ((found & POLLIN) !== 0) readAll()
    else {
      post({ gone: true })
      break
    }
  }
}
