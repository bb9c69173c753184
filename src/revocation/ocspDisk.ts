/**
 * OCSP responses on disk, so that a restarted gateway knows who was revoked before it has asked anybody.
 *
 * One file per question: a line of JSON for people, then the response as received. Only the response counts: it is judged
 * anew, signature, certificate and times, and its own producedAt says how old it is. A file is written beside and renamed;
 * one that a crash left torn has no valid signature, so that nothing waits for the disk.
 */
import { createHash } from "node:crypto";
import { mkdir, open, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Bytes } from "../bytes/bytes.ts";

/** A response as it was kept, and the responder that gave it. */
export interface StoredResponse {
  url: string;
  der: Bytes;
}

/** Where responses outlive the process. */
export interface OcspDisk {
  /** What is kept for this question; never rejects. */
  read(key: string): Promise<StoredResponse | undefined>;
  /** Keeps a response in place of the one before, if it can. */
  write(key: string, stored: StoredResponse): void;
}

export class FolderOcspDisk implements OcspDisk, AsyncDisposable {
  readonly #folder: string;
  readonly #maxFiles: number;
  #queue: Promise<void> = Promise.resolve();
  #waiting = 0;
  #writes = 0;
  /** Files in the folder, once they have been counted. */
  #files: number | undefined;

  constructor(folder: string, maxFiles: number = MAX_FILES) {
    this.#folder = folder;
    this.#maxFiles = maxFiles;
  }

  async read(key: string): Promise<StoredResponse | undefined> {
    try {
      await using file = await open(this.#pathOf(key));
      const { size } = await file.stat();
      if (size > MAX_FILE) return undefined;
      const whole = await file.readFile();
      const line = whole.indexOf(NEWLINE);
      const header = HEADER.safeParse(JSON.parse(whole.toString("utf8", 0, line)));
      return header.success ? { url: header.data.url, der: whole.subarray(line + 1) } : undefined;
    } catch {
      // Not there, or damaged: the responder is asked, as it would be anyway.
      return undefined;
    }
  }

  /** Responses that come faster than the disk takes them are not kept. */
  write(key: string, stored: StoredResponse): void {
    if (this.#waiting >= MAX_WAITING || stored.der.length > MAX_RESPONSE) return;
    this.#waiting += 1;
    this.#queue = this.#queue
      .then(() => this.#write(this.#pathOf(key), stored))
      .catch(() => undefined)
      .finally(() => {
        this.#waiting -= 1;
      });
  }

  /** Resolves once everything is written. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#queue;
  }

  async #write(path: string, { url, der }: StoredResponse): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    const beside = `${path}.${process.pid}-${++this.#writes}.new`;
    try {
      await writeFile(beside, Buffer.concat([Buffer.from(`${JSON.stringify({ url })}\n`), der]), { mode: 0o600 });
      await rename(beside, path);
    } catch (error) {
      await rm(beside, { force: true });
      throw error;
    }
    // Counts those in place of others as well, and so looks a little too often.
    this.#files = (this.#files ?? (await this.#names()).length) + 1;
    if (this.#files > this.#maxFiles) this.#files = await this.#prune();
  }

  /** The files written longest ago make room, a tenth at a time. */
  async #prune(): Promise<number> {
    const names = await this.#names();
    if (names.length <= this.#maxFiles) return names.length;
    const files: { path: string; at: number }[] = [];
    for (const name of names) {
      const path = join(this.#folder, name);
      files.push({ path, at: (await stat(path)).mtimeMs });
    }
    files.sort((a, b) => a.at - b.at);
    const keep = Math.floor(this.#maxFiles * 0.9);
    for (const { path } of files.slice(0, files.length - keep)) await rm(path, { force: true });
    return keep;
  }

  /** What a killed process left half written goes with the oldest. */
  async #names(): Promise<string[]> {
    return readdir(this.#folder);
  }

  #pathOf(key: string): string {
    return join(this.#folder, `${createHash("sha256").update(key, "latin1").digest("hex").slice(0, 40)}.ocsp`);
  }
}

const HEADER = z.object({ url: z.string().max(8192) });
const NEWLINE = 0x0a;
/** Octets of a response; the transport takes no more. */
const MAX_RESPONSE = 65_536;
const MAX_FILE = MAX_RESPONSE + 16_384;
/** Files kept: one for each device of a large gateway. */
const MAX_FILES = 50_000;
/** Responses that wait to be written. */
const MAX_WAITING = 1024;
