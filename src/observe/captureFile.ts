/**
 * A capture in a file, and the IKE keys beside it when a person asked for them.
 *
 *     FILE.pcapng                                 the datagrams
 *     FILE.pcapng.keys/ikev2_decryption_table     the keys, mode 0600 in a folder of mode 0700
 *
 * The folder is one that Wireshark takes as its configuration, so that this shows the decrypted IKE_AUTH:
 *
 *     WIRESHARK_CONFIG_DIR=FILE.pcapng.keys tshark -r FILE.pcapng -O isakmp
 *
 * What is captured is collected and written every `FLUSH_AFTER` milliseconds, and when the capture is closed. A file that
 * is there is continued with a section of its own. A capture must never cost the gateway its service: a full disk ends
 * the capture with one message, and a disk too slow loses datagrams, which are counted.
 *
 * Rejected: one file with a Decryption Secrets Block, which has no IKE secrets in Wireshark 4.0; keys beside the capture
 * as a `-o uat:` argument, which puts them on a command line that every user of the machine can read.
 */
import { type FileHandle, mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import type { Bytes } from "../bytes/bytes.ts";
import { decryptionTableLine, type ExportedIkeKeys } from "./ikeDecryptionTable.ts";
import { type CaptureDescription, type CapturedDatagram, capturedPacket, captureHeader } from "./pcapng.ts";

export interface CaptureOptions extends CaptureDescription {
  /** Writes keys too; without it `keys` does nothing. */
  withKeys: boolean;
  /** Told at most once a capture: why it ended before it was closed. */
  onFailure: (message: string) => void;
}

/** Where the keys of a capture are; also what WIRESHARK_CONFIG_DIR is set to. */
export function keysDirectory(file: string): string {
  return `${file}.keys`;
}

export class CaptureFile {
  /** Datagrams left out: the disk did not follow, the capture had failed, or IP cannot carry them. */
  lost = 0;
  readonly #packets: AppendedFile;
  readonly #keys: AppendedFile | undefined;
  readonly #onFailure: (message: string) => void;
  #timer: NodeJS.Timeout | undefined;
  #failed = false;

  /** Opens the files; rejects with the system's error where a person can still choose another place. */
  static async open(file: string, options: CaptureOptions): Promise<CaptureFile> {
    // Secrets or not, what passes a gateway is not for every user of the machine.
    const packets = new AppendedFile(await open(file, "a", 0o600), file);
    try {
      const keys = options.withKeys ? await openKeys(keysDirectory(file)) : undefined;
      packets.append(captureHeader(options));
      return new CaptureFile(packets, keys, options);
    } catch (error) {
      await packets.close();
      throw error;
    }
  }

  private constructor(packets: AppendedFile, keys: AppendedFile | undefined, options: CaptureOptions) {
    this.#packets = packets;
    this.#keys = keys;
    this.#onFailure = options.onFailure;
  }

  /** Adds a datagram; its octets are copied. */
  datagram(datagram: CapturedDatagram): void {
    if (this.#failed || this.#packets.waiting > MAX_WAITING) {
      this.lost += 1;
      return;
    }
    try {
      this.#packets.append(capturedPacket(datagram));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.lost += 1;
      return;
    }
    this.#flushSoon();
  }

  /** Adds the keys of an IKE SA, if the capture was opened with keys and Wireshark knows the algorithms. */
  keys(exported: ExportedIkeKeys): void {
    if (this.#failed || this.#keys === undefined || this.#keys.waiting > MAX_WAITING) return;
    const line = decryptionTableLine(exported);
    if (line === undefined) return;
    this.#keys.append(Buffer.from(line));
    this.#flushSoon();
  }

  /** Writes what is collected and closes the files; what fails then is told as any other failure. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#flush();
    this.#failed = true;
    for (const file of [this.#packets, this.#keys]) await file?.close();
  }

  #flushSoon(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#flush();
    }, FLUSH_AFTER);
    this.#timer.unref();
  }

  async #flush(): Promise<void> {
    // Keys first: whoever looks at a capture still being written can then decrypt what is in it.
    for (const file of [this.#keys, this.#packets]) {
      if (file === undefined || this.#failed) continue;
      try {
        await file.flush();
      } catch (error) {
        if (this.#failed) continue;
        this.#failed = true;
        this.#onFailure(
          `the capture ends here: ${file.path} cannot be written (${error instanceof Error ? error.message : String(error)}); ` +
            "what stands in it can be read",
        );
      }
    }
  }
}

async function openKeys(directory: string): Promise<AppendedFile> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const table = join(directory, "ikev2_decryption_table");
  const handle = await open(table, "a", 0o600);
  // One that was there before may be open to more than its owner.
  await handle.chmod(0o600);
  return new AppendedFile(handle, table);
}

/** A file that grows by whole pieces: one that did not fit is taken back, so that what stands in it stays readable. */
class AppendedFile {
  readonly path: string;
  readonly #handle: FileHandle;
  #pieces: Bytes[] = [];
  #flushing: Promise<void> = Promise.resolve();
  /** Octets not yet written. */
  waiting = 0;

  constructor(handle: FileHandle, path: string) {
    this.#handle = handle;
    this.path = path;
  }

  append(piece: Bytes): void {
    this.#pieces.push(piece);
    this.waiting += piece.length;
  }

  flush(): Promise<void> {
    this.#flushing = this.#flushing.then(() => this.#write());
    return this.#flushing;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  async #write(): Promise<void> {
    const pieces = this.#pieces;
    if (pieces.length === 0) return;
    this.#pieces = [];
    const { size } = await this.#handle.stat();
    const octets = Buffer.concat(pieces);
    try {
      await this.#handle.appendFile(octets);
    } catch (error) {
      await this.#handle.truncate(size).catch(() => undefined);
      throw error;
    } finally {
      this.waiting -= octets.length;
    }
  }
}

/** Milliseconds. */
const FLUSH_AFTER = 100;
/** Octets that may wait for the disk. */
const MAX_WAITING = 16 * 1024 * 1024;
