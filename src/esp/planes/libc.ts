/** The system calls that Node has no function for, through FFI; loaded at first use, since most roles need none. */
import type { Bytes } from "../../bytes/bytes.ts";

export interface Libc {
  /** All return -1 on failure, with the reason in `errno`. */
  ioctl(fd: number, request: number, argument: Bytes): number;
  poll(fds: Bytes, count: number, timeoutMs: number): number;
  read(fd: number, into: Bytes, length: number): number;
  eventfd(initial: number, flags: number): number;
  close(fd: number): number;
  /** Of this thread's last call. */
  errno(): number;
}

/** Throws what koffi throws where it has no build for the machine. */
export async function loadLibc(): Promise<Libc> {
  const { default: koffi } = await import("koffi");
  // The C library that Node itself runs on. `long` stands for ssize_t: both have a register's width on Linux.
  const c = koffi.load(null);
  const variadicIoctl = c.func("int ioctl(int fd, unsigned long request, ...)");
  return {
    ioctl: (fd, request, argument) => variadicIoctl(fd, request, "void *", argument),
    poll: c.func("int poll(void *fds, unsigned long count, int timeout)"),
    read: c.func("long read(int fd, void *into, unsigned long length)"),
    eventfd: c.func("int eventfd(unsigned int initial, int flags)"),
    close: c.func("int close(int fd)"),
    errno: () => koffi.errno(),
  };
}
