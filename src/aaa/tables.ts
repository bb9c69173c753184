/** The AAA server's tables: subscribers of the HSS, devices and what they may do, keys of pseudonyms, accounting. */
import { migrate } from "../store/schema.ts";
import type { Database } from "../store/sql.ts";

/** Makes or updates the tables. */
export async function makeTables(database: Database): Promise<void> {
  await migrate(database, "aaa", STEPS);
}

/** Never changed once released, only added to. */
const STEPS = [
  `CREATE TABLE subscriber (
     imsi TEXT PRIMARY KEY, algorithm TEXT NOT NULL, k OCTETS NOT NULL, opc OCTETS NOT NULL,
     seq BIGINT NOT NULL, ind BIGINT NOT NULL, barred BIGINT NOT NULL,
     address TEXT, filter TEXT, session_timeout BIGINT
   );
   CREATE TABLE device (
     identity TEXT PRIMARY KEY, verdict TEXT NOT NULL, authentication TEXT NOT NULL, location TEXT,
     address TEXT, filter TEXT, session_timeout BIGINT
   );
   CREATE TABLE hosting_party (imsi TEXT NOT NULL, device TEXT NOT NULL, PRIMARY KEY (imsi, device));
   CREATE TABLE pseudonym (username TEXT PRIMARY KEY, imsi TEXT NOT NULL, given_at BIGINT NOT NULL);
   CREATE INDEX pseudonym_imsi ON pseudonym (imsi);
   CREATE TABLE accounting (
     session TEXT PRIMARY KEY, device TEXT, subscriber TEXT, started_at BIGINT, reported_at BIGINT NOT NULL,
     stopped_at BIGINT, seconds BIGINT, input_octets BIGINT, output_octets BIGINT, cause BIGINT
   );
   CREATE TABLE restart (name TEXT PRIMARY KEY, count BIGINT NOT NULL)`,
  // Pseudonyms lead to their subscribers by themselves (see pseudonyms.ts).
  `DROP TABLE pseudonym;
   CREATE TABLE pseudonym_key (number BIGINT PRIMARY KEY, secret OCTETS NOT NULL, made_at BIGINT NOT NULL)`,
] as const;
