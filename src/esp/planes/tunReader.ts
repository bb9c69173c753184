/**
 * The thread that reads a TUN device. libuv cannot watch one, and a read in its thread pool would hold a thread for
 * good; here a blocking poll stalls nobody, and the wake-up descriptor ends it at once.
 */
import { constants } from "node:os";
import { parentPort, workerData } from "node:worker_threads";
import { type Libc, loadLibc } from "./libc.ts";
import { PacketRing } from "./packetRing.ts";

/** What the thread starts with. */
export interface TunReaderData {
  fd: number;
  /** Readable once the thread shall end. */
  wakeFd: number;
  memory: SharedArrayBuffer;
  slotLength: number;
}

/** What the thread tells: packets wait in the ring, or the device cannot be read any more. */
export type TunReaderMessage = "packets" | { errno: number };

const POLLIN = 1;
const POLLFD = 8;

function readUntilClosed(libc: Libc, { fd, wakeFd, memory, slotLength }: TunReaderData): TunReaderMessage | undefined {
  const ring = new PacketRing(slotLength, memory);
  const { EAGAIN, EINTR } = constants.errno;
  const fds = Buffer.alloc(2 * POLLFD);
  fds.writeInt32LE(fd, 0);
  fds.writeInt16LE(POLLIN, 4);
  fds.writeInt32LE(wakeFd, POLLFD);
  fds.writeInt16LE(POLLIN, POLLFD + 4);
  for (;;) {
    if (ring.full && ring.mustWake()) tell("packets");
    const slot = ring.waitForSlot();
    if (slot === undefined) return undefined;
    const length = libc.read(fd, slot, slotLength);
    if (length > 0) {
      ring.publish(length);
      continue;
    }
    const errno = length === 0 ? constants.errno.EIO : libc.errno();
    if (errno === EINTR) continue;
    if (errno !== EAGAIN) return { errno };
    if (ring.mustWake()) tell("packets");
    if (libc.poll(fds, 2, -1) < 0 && libc.errno() !== EINTR) return { errno: libc.errno() };
  }
}

function tell(message: TunReaderMessage): void {
  parentPort!.postMessage(message);
}

const end = readUntilClosed(await loadLibc(), workerData as TunReaderData);
if (end !== undefined) tell(end);
