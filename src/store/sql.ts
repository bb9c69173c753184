/**
 * One query layer over SQLite and PostgreSQL: statements are templates whose values are parameters, never text; rows come
 * back as plain values and are read by type.
 *
 * Why not kysely: its SQLite dialect is for another driver than node:sqlite, so that a driver of our own would be needed
 * anyway, and what it adds above that, a builder for statements, is more to learn than the dozen statements that roles
 * have. What the two databases understand alike is written once: INSERT ... ON CONFLICT, UPDATE ... RETURNING. The one
 * type that they name differently is OCTETS, which `schema.ts` translates.
 */
import { type Bytes, EMPTY } from "../bytes/bytes.ts";

export type SqlValue = string | number | Bytes | null;
export type Row = Readonly<Record<string, unknown>>;

export interface Statement {
  /** Text between the values. */
  readonly parts: readonly string[];
  readonly values: readonly SqlValue[];
}

/** A statement; each `${value}` becomes a parameter. */
export function sql(parts: TemplateStringsArray, ...values: readonly SqlValue[]): Statement {
  return { parts, values };
}

export interface Queries {
  /** Rows that a statement gives, from RETURNING too. */
  rows(statement: Statement): Promise<Row[]>;
  /** How many rows a statement changed. */
  change(statement: Statement): Promise<number>;
}

/**
 * A database. What a promise of `rows` or `change` tells is durable by then: it survives SIGKILL and the loss of power.
 */
export interface Database extends Queries {
  readonly dialect: "sqlite" | "postgres";
  /** Runs `work` so that all of it happens or nothing; what it throws undoes everything. */
  transaction<T>(work: (queries: Queries) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** A database that cannot be used, or rows that are not what the schema says; the message says what to do. */
export class StoreError extends Error {
  override readonly name = "StoreError";
}

export function text(row: Row, column: string): string {
  const value = row[column];
  return typeof value === "string" ? value : mistyped(column, value, "text");
}

export function optionalText(row: Row, column: string): string | undefined {
  return row[column] === null ? undefined : text(row, column);
}

/** A whole number; larger ones than a double holds exactly are refused by both databases' drivers. */
export function integer(row: Row, column: string): number {
  const value = row[column];
  return typeof value === "number" ? value : mistyped(column, value, "whole number");
}

export function optionalInteger(row: Row, column: string): number | undefined {
  return row[column] === null ? undefined : integer(row, column);
}

export function octets(row: Row, column: string): Bytes {
  const value = row[column];
  if (Buffer.isBuffer(value)) return value;
  if (value instanceof Uint8Array) return value.length === 0 ? EMPTY : Buffer.from(value);
  return mistyped(column, value, "octets");
}

function mistyped(column: string, value: unknown, wanted: string): never {
  throw new StoreError(`column ${column} holds ${value === null ? "nothing" : typeof value} where ${wanted} belongs`);
}
