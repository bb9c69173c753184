/** A Unix datagram socket, which Node has not: hostapd asks for vectors over one. Through FFI, received in koffi's own thread. */
import koffi from "koffi";

export interface UnixDatagramSocket extends AsyncDisposable {
  /** Sends to the path that a message came from. */
  send(message: Buffer, to: Buffer): void;
}

/** Binds `path` and hands over each message with the address to answer to. */
export function bindUnixDatagram(path: string, onMessage: (message: Buffer, from: Buffer) => void): UnixDatagramSocket {
  const fd = c.socket(AF_UNIX, SOCK_DGRAM, 0);
  const address = Buffer.alloc(ADDRESS_LENGTH);
  address.writeUInt16LE(AF_UNIX, 0);
  address.write(path, 2);
  if (fd < 0 || c.bind(fd, address, 2 + path.length + 1) !== 0)
    throw new Error(`cannot bind ${path}: errno ${koffi.errno()}`);
  let stopped: (() => void) | undefined;
  // These stay referenced here while the other thread writes into them.
  const buffer = Buffer.alloc(2048);
  const from = Buffer.alloc(ADDRESS_LENGTH);
  const fromLength = Buffer.alloc(4);
  const receive = () => {
    fromLength.writeUInt32LE(ADDRESS_LENGTH);
    c.recvfrom.async(fd, buffer, buffer.length, 0, from, fromLength, (error: unknown, length: number) => {
      if (stopped !== undefined) {
        c.close(fd);
        stopped();
        return;
      }
      if (error === null && length > 0)
        onMessage(Buffer.from(buffer.subarray(0, length)), Buffer.from(from.subarray(0, fromLength.readUInt32LE())));
      receive();
    });
  };
  receive();
  return {
    send(message, to) {
      if (c.sendto(fd, message, message.length, 0, to, to.length) < 0)
        throw new Error(`cannot send: errno ${koffi.errno()}`);
    },
    async [Symbol.asyncDispose]() {
      const done = new Promise<void>((resolve) => {
        stopped = resolve;
      });
      // Wakes the thread that waits in recvfrom.
      c.shutdown(fd, SHUT_RD);
      await done;
    },
  };
}

const libc = koffi.load(null);
const c = {
  socket: libc.func("int socket(int domain, int type, int protocol)"),
  bind: libc.func("int bind(int fd, void *address, uint32_t length)"),
  recvfrom: libc.func(
    "long recvfrom(int fd, void *buffer, size_t length, int flags, void *address, void *addressLength)",
  ),
  sendto: libc.func("long sendto(int fd, void *buffer, size_t length, int flags, void *address, uint32_t length)"),
  shutdown: libc.func("int shutdown(int fd, int how)"),
  close: libc.func("int close(int fd)"),
};
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SHUT_RD = 0;
/** sockaddr_un */
const ADDRESS_LENGTH = 110;
