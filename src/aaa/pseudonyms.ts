/**
 * Pseudonyms that lead to their subscriber by themselves: the IMSI, encrypted under a key of this operator's that changes
 * every week (RFC 4187 4.1.1.7; the temporary identities of TS 33.234 6.4 are made in the same way).
 *
 * A table of pseudonyms would have two rows written, and made durable, in each authentication: more than the rest of it
 * costs. Only keys are stored; servers on one database share them. Nobody without the key can tell whose a pseudonym is,
 * whether two are the same subscriber's, or make one up.
 */
import { createCipheriv, createDecipheriv } from "node:crypto";
import { type Bytes, copyOf } from "../bytes/bytes.ts";
import type { Clock, Milliseconds, Random } from "../sim/environment.ts";
import { type Database, integer, octets, type Row, sql } from "../store/sql.ts";

interface Key {
  number: number;
  secret: Bytes;
  madeAt: Milliseconds;
}

export class Pseudonyms {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #random: Random;
  /** The newest first. */
  #keys: readonly Key[] = [];
  #readAt: Milliseconds = Number.NEGATIVE_INFINITY;

  private constructor(database: Database, clock: Clock, random: Random) {
    this.#database = database;
    this.#clock = clock;
    this.#random = random;
  }

  /** Reads the keys, and makes the first one. */
  static async open(database: Database, clock: Clock, random: Random): Promise<Pseudonyms> {
    const pseudonyms = new Pseudonyms(database, clock, random);
    await pseudonyms.renew();
    return pseudonyms;
  }

  /** A new key once the newest is a week old, and an end to those that nobody should still use; to be called now and then. */
  async renew(): Promise<void> {
    const now = this.#clock.now();
    const [newest] = this.#keys;
    if (newest !== undefined && now - newest.madeAt < KEY_LIFE) return;
    await this.#read();
    const [current] = this.#keys;
    if (current !== undefined && now - current.madeAt < KEY_LIFE) return;
    const number = (current?.number ?? 0) + 1;
    const secret = copyOf(this.#random.bytes(16));
    // Another server on this database may have made it in the meantime: its key counts.
    await this.#database.change(
      sql`INSERT INTO pseudonym_key (number, secret, made_at) VALUES (${number}, ${secret}, ${now}) ON CONFLICT DO NOTHING`,
    );
    await this.#database.change(sql`DELETE FROM pseudonym_key WHERE made_at < ${now - KEPT * KEY_LIFE}`);
    await this.#read();
  }

  /** A username that was never used before, behind the digit that says what it is. */
  make(prefix: string, imsi: string): string {
    const key = this.#keys[0]!;
    const nonce = this.#random.bytes(NONCE);
    const cipher = createCipheriv("aes-128-gcm", key.secret, nonce, GCM).setAAD(Buffer.from(prefix, "latin1"));
    const hidden = cipher.update(Buffer.from(imsi.padEnd(16, "f"), "hex"));
    cipher.final();
    const whole = Buffer.concat([Buffer.of(key.number & 0xff), nonce, hidden, cipher.getAuthTag()]);
    return prefix + whole.toString("base64url");
  }

  /** Whose pseudonym it is; undefined for one that is too old, or none of ours. */
  async imsiOf(username: string): Promise<string | undefined> {
    const whole = Buffer.from(username.slice(1), "base64url");
    if (whole.length !== LENGTH) return undefined;
    const isIts = ({ number }: Key) => (number & 0xff) === whole[0];
    // Another server may have made a key since; a username that is made up must not have the database read each time.
    if (!this.#keys.some(isIts) && this.#clock.now() - this.#readAt >= READ_INTERVAL) await this.#read();
    const key = this.#keys.find(isIts);
    return key === undefined ? undefined : reveal(key.secret, username[0]!, whole);
  }

  async #read(): Promise<void> {
    this.#readAt = this.#clock.now();
    const rows = await this.#database.rows(sql`SELECT number, secret, made_at FROM pseudonym_key ORDER BY number DESC`);
    this.#keys = rows.map(readKey);
  }
}

function reveal(secret: Bytes, prefix: string, whole: Bytes): string | undefined {
  const nonce = whole.subarray(1, 1 + NONCE);
  const decipher = createDecipheriv("aes-128-gcm", secret, nonce, GCM).setAAD(Buffer.from(prefix, "latin1"));
  const imsi = decipher.update(whole.subarray(1 + NONCE, LENGTH - TAG));
  decipher.setAuthTag(whole.subarray(LENGTH - TAG));
  try {
    decipher.final();
  } catch {
    // The tag is wrong: made up, or of another prefix.
    return undefined;
  }
  return imsi.toString("hex").replace(/f+$/, "");
}

function readKey(row: Row): Key {
  return { number: integer(row, "number"), secret: octets(row, "secret"), madeAt: integer(row, "made_at") };
}

const TAG = 8;
const GCM = { authTagLength: TAG } as const;
const NONCE = 12;
/** Octets of an IMSI of up to 15 digits, filled up with F (TS 31.102 4.2.2). */
const IMSI = 8;
const LENGTH = 1 + NONCE + IMSI + TAG;
/** Milliseconds that a key makes pseudonyms. */
const KEY_LIFE = 7 * 24 * 3600_000;
/** Lives of a key after which its pseudonyms lead nowhere: a device that was away for longer says its permanent identity. */
const KEPT = 5;
/** Milliseconds between two looks for keys that other servers made. */
const READ_INTERVAL = 1_000;
