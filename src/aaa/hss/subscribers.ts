/**
 * Subscribers of the HSS: their keys, their sequence numbers and what they may use.
 *
 * A sequence number is taken by one UPDATE that counts up and gives back, so that no two takers, be they requests,
 * processes or machines on one database, get the same, and none gets it before it is durable (SQN never reused).
 */
import type { Bytes } from "../../bytes/bytes.ts";
import { type AkaFunctions, requireLength } from "../../eap/akaFunctions.ts";
import { readAuts } from "../../eap/authenticationVector.ts";
import { milenage } from "../../eap/milenage.ts";
import { nextSqn, resynchronized, SQN_DEFAULTS } from "../../eap/sqn.ts";
import { tuak } from "../../eap/tuak.ts";
import { type Database, integer, octets, type Queries, type Row, sql, text } from "../../store/sql.ts";
import { type AccessProfile, readProfile } from "../profile.ts";

export const ALGORITHMS = ["milenage", "tuak"] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

export interface NewSubscriber extends AccessProfile {
  /** 6 to 15 digits (TS 23.003 2.2). */
  imsi: string;
  algorithm: Algorithm;
  /** 16 octets, of TUAK 16 or 32. */
  k: Bytes;
  /** OPc, 16 octets, or TOPc, 32. */
  opc: Bytes;
  /** SEQ used last; where a card comes from another HSS. */
  seq?: number | undefined;
}

export interface SubscriberEntry extends AccessProfile {
  imsi: string;
  algorithm: string;
  seq: number;
  /** Keeps the subscriber and refuses vectors. */
  barred: boolean;
}

/** A subscriber that cannot be stored as asked; the message says why. */
export class SubscriberError extends Error {
  override readonly name = "SubscriberError";
}

/** A sequence number that is taken, and what makes a vector of it. */
export interface TakenSqn {
  functions: AkaFunctions;
  sqn: number;
}

export class Subscribers {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Throws SubscriberError for an IMSI that is there already, or keys that are none. */
  async add(subscriber: NewSubscriber): Promise<void> {
    const { imsi, algorithm, k, opc, seq = 0, address = null, filter = null, sessionTimeout = null } = subscriber;
    if (!/^\d{6,15}$/.test(imsi)) throw new SubscriberError(`"${imsi}" is no IMSI: 6 to 15 digits`);
    try {
      functionsOf(algorithm, k, opc);
    } catch (error) {
      if (error instanceof RangeError) throw new SubscriberError(`subscriber ${imsi}: ${error.message}`);
      throw error;
    }
    const added = await this.#database.change(
      sql`INSERT INTO subscriber (imsi, algorithm, k, opc, seq, ind, barred, address, filter, session_timeout)
          VALUES (${imsi}, ${algorithm}, ${k}, ${opc}, ${seq}, 0, 0, ${address}, ${filter}, ${sessionTimeout})
          ON CONFLICT (imsi) DO NOTHING`,
    );
    if (added === 0) throw new SubscriberError(`subscriber ${imsi} is there already; remove it first`);
  }

  /** Without keys. */
  async list(): Promise<SubscriberEntry[]> {
    const rows = await this.#database.rows(
      sql`SELECT imsi, algorithm, seq, barred, address, filter, session_timeout FROM subscriber ORDER BY imsi`,
    );
    return rows.map(readEntry);
  }

  async find(imsi: string): Promise<SubscriberEntry | undefined> {
    const [row] = await this.#database.rows(
      sql`SELECT imsi, algorithm, seq, barred, address, filter, session_timeout FROM subscriber WHERE imsi = ${imsi}`,
    );
    return row === undefined ? undefined : readEntry(row);
  }

  /** False if there is none. */
  async remove(imsi: string): Promise<boolean> {
    await this.#database.change(sql`DELETE FROM hosting_party WHERE imsi = ${imsi}`);
    return (await this.#database.change(sql`DELETE FROM subscriber WHERE imsi = ${imsi}`)) > 0;
  }

  /** False if there is none. */
  async setBarred(imsi: string, barred: boolean): Promise<boolean> {
    const value = barred ? 1 : 0;
    return (await this.#database.change(sql`UPDATE subscriber SET barred = ${value} WHERE imsi = ${imsi}`)) > 0;
  }

  /** The next sequence number, durable; undefined if there is no such subscriber or it is barred. */
  takeSqn(imsi: string): Promise<TakenSqn | undefined> {
    return take(this.#database, imsi);
  }

  /**
   * The next sequence number that the USIM accepts after it reported its own in AUTS (TS 33.102 6.3.5); "wrongAuts" if
   * the USIM did not make it.
   */
  takeSqnAfter(imsi: string, rand: Bytes, auts: Bytes): Promise<TakenSqn | "wrongAuts" | undefined> {
    return this.#database.transaction(async (queries) => {
      const [row] = await queries.rows(
        sql`SELECT algorithm, k, opc, seq, ind FROM subscriber WHERE imsi = ${imsi} AND barred = 0`,
      );
      if (row === undefined) return undefined;
      const sqnMs = readAuts(functionsIn(row), rand, auts);
      if (sqnMs === undefined) return "wrongAuts";
      const counter = { seq: integer(row, "seq"), ind: integer(row, "ind") };
      const { seq, ind } = resynchronized(counter, sqnMs, SQN_DEFAULTS);
      await queries.change(sql`UPDATE subscriber SET seq = ${seq}, ind = ${ind} WHERE imsi = ${imsi}`);
      return take(queries, imsi);
    });
  }
}

async function take(queries: Queries, imsi: string): Promise<TakenSqn | undefined> {
  const [row] = await queries.rows(
    sql`UPDATE subscriber SET seq = seq + 1, ind = (ind + 1) % ${INDS} WHERE imsi = ${imsi} AND barred = 0
        RETURNING algorithm, k, opc, seq, ind`,
  );
  if (row === undefined) return undefined;
  const ind = integer(row, "ind");
  return { functions: functionsIn(row), sqn: nextSqn({ seq: integer(row, "seq") - 1, ind }, SQN_DEFAULTS, ind).sqn };
}

function functionsIn(row: Row): AkaFunctions {
  return functionsOf(text(row, "algorithm"), octets(row, "k"), octets(row, "opc"));
}

function functionsOf(algorithm: string, k: Bytes, opc: Bytes): AkaFunctions {
  if (algorithm === "tuak") {
    requireLength("K", k, 16, 32);
    requireLength("TOPc", opc, 32);
    return tuak(k, opc);
  }
  requireLength("K", k, 16);
  requireLength("OPc", opc, 16);
  return milenage(k, opc);
}

function readEntry(row: Row): SubscriberEntry {
  return {
    imsi: text(row, "imsi"),
    algorithm: text(row, "algorithm"),
    seq: integer(row, "seq"),
    barred: integer(row, "barred") !== 0,
    ...readProfile(row),
  };
}

const INDS = 2 ** SQN_DEFAULTS.indBits;
