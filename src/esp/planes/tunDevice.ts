/**
 * A Linux TUN device: IP packets that the kernel routes into it come to us, those we write come from it.
 *
 * Rejected: reading in libuv's pool (holds one of four threads, and never ends), `readv` on a timer (delay or waste).
 */
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { extname } from "node:path";
import { getSystemErrorName } from "node:util";
import { Worker } from "node:worker_threads";
import type { Bytes } from "../../bytes/bytes.ts";
import { type Libc, loadLibc } from "./libc.ts";
import { PacketRing } from "./packetRing.ts";
import type { TunReaderData, TunReaderMessage } from "./tunReader.ts";

/** This machine or process can have no TUN device; says what a person can do about it. */
export class TunUnavailable extends Error {
  override readonly name = "TunUnavailable";
  readonly problem: string;
  readonly whatToDo: string;

  constructor(problem: string, whatToDo: string) {
    super(`${problem}: ${whatToDo}`);
    this.problem = problem;
    this.whatToDo = whatToDo;
  }
}

/** Why no TUN device can be made here, or undefined if one can. Makes one for a moment to find out. */
export async function whyNoTun(): Promise<TunUnavailable | undefined> {
  try {
    const { fd } = attach(await libcForTun(), PROBE_NAME);
    closeSync(fd);
    return undefined;
  } catch (error) {
    if (error instanceof TunUnavailable) return error;
    throw error;
  }
}

export interface TunDeviceOptions {
  /** Interface name, up to 15 octets; a "%d" in it becomes the first free number. */
  name: string;
  /** Octets of the longest packet. */
  mtu: number;
  /** Takes a packet that was routed into the device; it is valid only during the call. */
  onPacket(packet: Bytes): void;
  /** Told when the device is gone, as when someone deleted it; never after `close`. */
  onLost(error: TunUnavailable): void;
}

export class TunDevice {
  /** As the kernel gave it. */
  readonly name: string;
  readonly #libc: Libc;
  readonly #fd: number;
  readonly #wakeFd: number;
  readonly #ring: PacketRing;
  readonly #worker: Worker;
  readonly #ended: Promise<void>;
  readonly #options: TunDeviceOptions;
  readonly #stopAtExit = () => this.#stop();
  #closing: Promise<void> | undefined;
  #refusedWrites = 0;

  private constructor(libc: Libc, attached: { fd: number; name: string }, options: TunDeviceOptions) {
    this.#libc = libc;
    this.#fd = attached.fd;
    this.name = attached.name;
    this.#options = options;
    this.#wakeFd = libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (this.#wakeFd < 0) {
      closeSync(this.#fd);
      throw new TunUnavailable(`eventfd failed (${errorName(libc.errno())})`, "raise the limit of open files");
    }
    this.#ring = new PacketRing(options.mtu);
    const { memory, slotLength } = this.#ring;
    const workerData: TunReaderData = { fd: this.#fd, wakeFd: this.#wakeFd, memory, slotLength };
    // The built package holds .js files, a checkout .ts files.
    const reader = new URL(`./tunReader${extname(import.meta.url)}`, import.meta.url);
    this.#worker = new Worker(reader, { workerData, name: `tun ${this.name}`, resourceLimits: WORKER_LIMITS });
    this.#worker.on("message", (message: TunReaderMessage) => this.#onMessage(message));
    this.#worker.on("error", (error) => this.#lost(String(error)));
    this.#ended = new Promise((resolve) => this.#worker.once("exit", () => resolve()));
    // A thread blocked in poll would keep a process that exits from ending.
    process.once("exit", this.#stopAtExit);
  }

  /** Makes the interface, down and without addresses; it vanishes with `close` or with the process. */
  static async open(options: TunDeviceOptions): Promise<TunDevice> {
    const libc = await libcForTun();
    return new TunDevice(libc, attach(libc, options.name), options);
  }

  /** Packets the kernel would not take, such as while the interface is down. */
  get refusedWrites(): number {
    return this.#refusedWrites;
  }

  /** Hands a packet to the kernel as if it had come in by this interface. */
  write(packet: Bytes): void {
    if (this.#closing !== undefined) return;
    try {
      writeSync(this.#fd, packet);
    } catch {
      // IP may lose packets; a full queue or an interface that is down is no reason to stop.
      this.#refusedWrites += 1;
    }
  }

  /** Removes the interface; resolves once its thread has ended and nothing holds the process any more. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    process.off("exit", this.#stopAtExit);
    this.#stop();
    await this.#ended;
    closeSync(this.#fd);
    this.#libc.close(this.#wakeFd);
  }

  #stop(): void {
    this.#ring.close();
    writeSync(this.#wakeFd, WAKE);
  }

  #onMessage(message: TunReaderMessage): void {
    if (message === "packets") this.#drain();
    else this.#lost(errorName(message.errno));
  }

  /** Takes what waits, in portions between which other work of the process gets its turn. */
  #drain(): void {
    for (let count = 0; count < MAX_PACKETS_AT_ONCE; ) {
      if (this.#closing !== undefined) return;
      const packet = this.#ring.peek();
      if (packet !== undefined) {
        this.#options.onPacket(packet);
        this.#ring.release();
        count += 1;
      } else if (this.#ring.sleep()) {
        return;
      }
    }
    setImmediate(() => this.#drain());
  }

  #lost(reason: string): void {
    if (this.#closing !== undefined) return;
    this.#options.onLost(
      new TunUnavailable(`reading from ${this.name} failed (${reason})`, "see whether something deleted the interface"),
    );
  }
}

async function libcForTun(): Promise<Libc> {
  if (process.platform !== "linux") throw new TunUnavailable(`no TUN plane for ${process.platform}`, "use Linux");
  try {
    return await loadLibc();
  } catch (error) {
    throw new TunUnavailable(
      `koffi cannot be loaded (${error instanceof Error ? error.message : String(error)})`,
      "install koffi for this machine, or use another data plane",
    );
  }
}

/** Opens the clone device and makes or takes the interface of that name. */
function attach(libc: Libc, name: string): { fd: number; name: string } {
  if (!/^[a-zA-Z0-9_.%-]{1,15}$/.test(name)) throw new RangeError(`"${name}" is no interface name of 1..15 characters`);
  const fd = openClone();
  const request = Buffer.alloc(IFREQ);
  request.write(name, 0, "latin1");
  request.writeUInt16LE(IFF_TUN | IFF_NO_PI, IFREQ_FLAGS);
  if (libc.ioctl(fd, TUNSETIFF, request) < 0) {
    const errno = libc.errno();
    closeSync(fd);
    throw refusal(`making the TUN interface ${name} was refused`, errorName(errno));
  }
  return { fd, name: request.toString("latin1", 0, request.indexOf(0)) };
}

function openClone(): number {
  try {
    return openSync(CLONE_DEVICE, constants.O_RDWR | constants.O_NONBLOCK);
  } catch (error) {
    throw refusal(`${CLONE_DEVICE} cannot be opened`, (error as NodeJS.ErrnoException).code ?? String(error));
  }
}

function refusal(what: string, code: string): TunUnavailable {
  return new TunUnavailable(`${what} (${code})`, WHAT_TO_DO[code] ?? "see the kernel's log");
}

function errorName(errno: number): string {
  // Node has no name for it.
  return errno === EBADFD ? "EBADFD" : getSystemErrorName(-errno);
}

const CLONE_DEVICE = "/dev/net/tun";
const PROBE_NAME = "fgprobe%d";

const WHAT_TO_DO: Record<string, string> = {
  ENOENT: "load the module (modprobe tun), or give the container the device (--device /dev/net/tun)",
  ENODEV: "load the module (modprobe tun)",
  ENXIO: "load the module (modprobe tun)",
  EACCES: "run with CAP_NET_ADMIN: as root, or in an own user and network namespace (unshare -Urn)",
  EPERM: "run with CAP_NET_ADMIN: as root, or in an own user and network namespace (unshare -Urn)",
  EBUSY: "choose another interface name: something else holds this one",
  EINVAL: "choose another interface name: it is taken by an interface of another kind",
};

/** Linux's <linux/if_tun.h>, the same on x86-64 and arm64. */
const TUNSETIFF = 0x4004_54ca;
const IFF_TUN = 0x0001;
const IFF_NO_PI = 0x1000;
/** struct ifreq in octets, and where its flags stand. */
const IFREQ = 40;
const IFREQ_FLAGS = 16;
/** What reading from an interface that was deleted gives. */
const EBADFD = 77;
const EFD_NONBLOCK = 0o4000;
const EFD_CLOEXEC = 0o2000000;

/** One event, as eventfd wants it: a 64-bit number in the machine's order. */
const WAKE = Buffer.from(new BigUint64Array([1n]).buffer);

const MAX_PACKETS_AT_ONCE = 64;

const WORKER_LIMITS = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 8 };
