/**
 * When certificates were last known to be good, on disk, so that a restart does not end anybody's time of grace.
 *
 * One file of records of 48 octets (fingerprint, then the end of the last good answer by CRL and by OCSP as doubles) and
 * a SHA-256 over them all, so that what is damaged is told from what is whole. It is written beside and renamed. Nobody
 * signed these times: whoever can write to the folder can give a certificate grace, never more. The answers themselves
 * are kept by ocspDisk.ts and crlDisk.ts, and judged anew.
 */
import { createHash } from "node:crypto";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Bytes, sameBytes } from "../bytes/bytes.ts";
import type { Clock } from "../sim/environment.ts";
import type { LastGood } from "../trust/statusDecision.ts";

/** By fingerprint. */
export type LastGoodEntries = readonly (readonly [fingerprint: string, known: LastGood])[];

/** Where times outlive the process. */
export interface LastGoodDisk {
  /** What was kept; nothing where there is no file, or none that can be used. Never rejects. */
  read(): Promise<LastGoodEntries>;
  /** Puts `entries` in the place of what was kept; rejects if it cannot. */
  write(entries: LastGoodEntries): Promise<void>;
}

export class LastGoodFile implements LastGoodDisk {
  readonly #folder: string;
  readonly #clock: Clock;
  readonly #limit: number;

  /** `limit`: records of a file; a longer one is not read. */
  constructor(folder: string, clock: Clock, limit: number) {
    this.#folder = folder;
    this.#clock = clock;
    this.#limit = limit;
  }

  get #path(): string {
    return join(this.#folder, FILE);
  }

  async read(): Promise<LastGoodEntries> {
    try {
      await using file = await open(this.#path);
      const { size } = await file.stat();
      const octets = size - MAGIC.length - DIGEST;
      if (octets < 0 || octets % RECORD !== 0 || octets / RECORD > this.#limit) return [];
      const magic = await readWhole(file, MAGIC.length, 0);
      if (!magic.equals(MAGIC)) return [];
      const hash = createHash("sha256").update(magic);
      const entries: [string, LastGood][] = [];
      // Piece by piece, so that nobody waits for all of it.
      for (let at = 0; at < octets; at += PIECE) {
        const piece = await readWhole(file, Math.min(PIECE, octets - at), MAGIC.length + at);
        hash.update(piece);
        for (let record = 0; record < piece.length; record += RECORD)
          entries.push(this.#readRecord(piece.subarray(record, record + RECORD)));
      }
      const digest = await readWhole(file, DIGEST, size - DIGEST);
      return sameBytes(digest, hash.digest()) ? entries.filter(([, known]) => Object.keys(known).length > 0) : [];
    } catch {
      // Not there, or not to be read: everybody begins without grace.
      return [];
    }
  }

  async write(entries: LastGoodEntries): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    const beside = `${this.#path}.${process.pid}.new`;
    try {
      await using file = await open(beside, "w", 0o600);
      const hash = createHash("sha256").update(MAGIC);
      await file.write(MAGIC);
      for (let at = 0; at < entries.length; at += PIECE / RECORD) {
        const piece = Buffer.concat(entries.slice(at, at + PIECE / RECORD).map(recordOf));
        hash.update(piece);
        await file.write(piece);
      }
      await file.write(hash.digest());
      await file.sync();
      await rename(beside, this.#path);
    } catch (error) {
      await rm(beside, { force: true });
      throw error;
    }
  }

  #readRecord(record: Bytes): [string, LastGood] {
    const known: LastGood = {};
    const latest = this.#clock.now() + MAX_AHEAD;
    for (const [method, at] of [["crl", 32] as const, ["ocsp", 40] as const]) {
      const until = record.readDoubleBE(at);
      if (until > 0 && until <= latest) known[method] = until;
    }
    return [record.toString("hex", 0, 32), known];
  }
}

function recordOf([fingerprint, { crl = 0, ocsp = 0 }]: LastGoodEntries[number]): Bytes {
  const record = Buffer.alloc(RECORD);
  record.write(fingerprint, "hex");
  record.writeDoubleBE(crl, 32);
  record.writeDoubleBE(ocsp, 40);
  return record;
}

async function readWhole(file: Awaited<ReturnType<typeof open>>, length: number, position: number): Promise<Bytes> {
  const read = Buffer.alloc(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(read, done, length - done, position + done);
    if (bytesRead === 0) throw new Error(`ends after ${position + done} octets`);
    done += bytesRead;
  }
  return read;
}

const FILE = "last-good";
const MAGIC = Buffer.from("femtogate last good 1\n");
const RECORD = 48;
const DIGEST = 32;
/** Octets read and written at a time: 4096 records. */
const PIECE = 4096 * RECORD;
/** Beyond this no answer is good; a clock was wrong. */
const MAX_AHEAD = 10 * 365 * 24 * 3600_000;
