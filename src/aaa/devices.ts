/**
 * Which devices may connect, how they must authenticate, and which hosting party may be on which (TS 33.320 7.x-1, A.1-4).
 *
 * An entry is for one identity, or for all names below a domain ("*.factory.example"), or for all ("*"); the closest one
 * counts, so that a denied device within an allowed domain stays out, and the other way round.
 */
import { type Cidr, cidrRange, parseCidr, parseIp } from "../bytes/ip.ts";
import { type Database, integer, optionalText, type Row, sql, text } from "../store/sql.ts";
import { type AccessProfile, readProfile } from "./profile.ts";

export const VERDICTS = ["allow", "deny"] as const;
/** What a device's user profile demands (TS 33.320 A.1-4). */
export const AUTHENTICATIONS = ["device-only", "combined", "either"] as const;
export type Authentication = (typeof AUTHENTICATIONS)[number];

export interface DeviceEntry extends AccessProfile {
  /** FQDN, "*.domain" or "*", in small letters. */
  identity: string;
  verdict: (typeof VERDICTS)[number];
  authentication: Authentication;
  /** Address blocks, separated by spaces, that the device must come from; undefined for anywhere. */
  location?: string | undefined;
}

/** A device entry that makes no sense; the message says why. */
export class DeviceError extends Error {
  override readonly name = "DeviceError";
}

export type DeviceVerdict =
  | { allowed: true; authentication: Authentication; profile: AccessProfile }
  | { allowed: false; reason: "UnknownDevice" | "DeniedDevice" | "WrongLocation" };

export interface DevicePolicy {
  /** What becomes of a device that no entry is for. */
  unknownDevices: "allow" | "deny";
  /** What such a device must do. */
  authentication: Authentication;
  /** "listed": a subscriber bound to devices is on no others. "required": one that is bound to none is on none. */
  hostingPartyBinding: "off" | "listed" | "required";
}

export class Devices {
  readonly #database: Database;
  readonly #policy: DevicePolicy;

  constructor(database: Database, policy: DevicePolicy) {
    this.#database = database;
    this.#policy = policy;
  }

  /** Adds an entry, or puts it in the place of that identity's. Throws DeviceError. */
  async put(entry: DeviceEntry): Promise<void> {
    const { verdict, authentication, location = null, address = null, filter = null, sessionTimeout = null } = entry;
    const identity = entry.identity.toLowerCase();
    if (!/^(\*|(\*\.)?([a-z0-9_-]+\.)*[a-z0-9_-]+)$/.test(identity))
      throw new DeviceError(`"${entry.identity}" is no device: write an FQDN, *.domain or *`);
    if (location !== null) blocksOf(location);
    await this.#database.change(
      sql`INSERT INTO device (identity, verdict, authentication, location, address, filter, session_timeout)
          VALUES (${identity}, ${verdict}, ${authentication}, ${location}, ${address}, ${filter}, ${sessionTimeout})
          ON CONFLICT (identity) DO UPDATE SET verdict = excluded.verdict, authentication = excluded.authentication,
            location = excluded.location, address = excluded.address, filter = excluded.filter,
            session_timeout = excluded.session_timeout`,
    );
  }

  async list(): Promise<DeviceEntry[]> {
    return (await this.#database.rows(sql`SELECT * FROM device ORDER BY identity`)).map(readEntry);
  }

  /** False if there is none. */
  async remove(identity: string): Promise<boolean> {
    return (await this.#database.change(sql`DELETE FROM device WHERE identity = ${identity.toLowerCase()}`)) > 0;
  }

  /** Decides about an identity from a verified certificate that comes from that outer address (7.x-1). */
  async authorize(identity: string, from: string | undefined): Promise<DeviceVerdict> {
    const entry = await this.#closest(identity.toLowerCase());
    if (entry === undefined)
      return this.#policy.unknownDevices === "allow"
        ? { allowed: true, authentication: this.#policy.authentication, profile: {} }
        : { allowed: false, reason: "UnknownDevice" };
    if (entry.verdict === "deny") return { allowed: false, reason: "DeniedDevice" };
    if (entry.location !== undefined && !isWithin(from, blocksOf(entry.location)))
      return { allowed: false, reason: "WrongLocation" };
    return { allowed: true, authentication: entry.authentication, profile: entry };
  }

  /** Lets a subscriber be on a device. */
  async bind(imsi: string, device: string): Promise<void> {
    await this.#database.change(
      sql`INSERT INTO hosting_party (imsi, device) VALUES (${imsi}, ${device.toLowerCase()}) ON CONFLICT DO NOTHING`,
    );
  }

  async unbind(imsi: string, device: string): Promise<boolean> {
    const removed = await this.#database.change(
      sql`DELETE FROM hosting_party WHERE imsi = ${imsi} AND device = ${device.toLowerCase()}`,
    );
    return removed > 0;
  }

  async bindings(): Promise<{ imsi: string; device: string }[]> {
    const rows = await this.#database.rows(sql`SELECT imsi, device FROM hosting_party ORDER BY imsi, device`);
    return rows.map((row) => ({ imsi: text(row, "imsi"), device: text(row, "device") }));
  }

  /** Whether that subscriber may be on that device; undefined is a device that the gateway did not name. */
  async mayCarry(device: string | undefined, imsi: string): Promise<boolean> {
    const { hostingPartyBinding } = this.#policy;
    if (hostingPartyBinding === "off") return true;
    const name = device?.toLowerCase() ?? "";
    const [row] = await this.#database.rows(
      sql`SELECT COUNT(*) AS bound, COALESCE(SUM(CASE WHEN device = ${name} THEN 1 ELSE 0 END), 0) AS here
          FROM hosting_party WHERE imsi = ${imsi}`,
    );
    if (integer(row!, "here") > 0) return true;
    return hostingPartyBinding === "listed" && integer(row!, "bound") === 0;
  }

  async #closest(identity: string): Promise<DeviceEntry | undefined> {
    const labels = identity.split(".");
    const wildcards = labels.slice(1, MAX_LABELS).map((_, index) => `*.${labels.slice(index + 1).join(".")}`);
    const candidates = [identity, ...wildcards, "*"];
    const parts = SELECTS[candidates.length]!;
    const entries = (await this.#database.rows({ parts, values: candidates })).map(readEntry);
    return candidates.map((name) => entries.find((entry) => entry.identity === name)).find((one) => one !== undefined);
  }
}

function readEntry(row: Row): DeviceEntry {
  return {
    identity: text(row, "identity"),
    verdict: text(row, "verdict") === "allow" ? "allow" : "deny",
    authentication: AUTHENTICATIONS.find((one) => one === text(row, "authentication")) ?? "combined",
    location: optionalText(row, "location"),
    ...readProfile(row),
  };
}

function blocksOf(location: string): Cidr[] {
  return location.split(" ").map((block) => {
    const cidr = parseCidr(block);
    if (cidr === undefined) throw new DeviceError(`"${block}" is no address block such as 192.0.2.0/24`);
    return cidr;
  });
}

function isWithin(from: string | undefined, blocks: readonly Cidr[]): boolean {
  const address = from === undefined ? undefined : parseIp(from);
  if (address === undefined) return false;
  return blocks.some((block) => {
    const { start, end } = cidrRange(block);
    return start.length === address.length && Buffer.compare(start, address) <= 0 && Buffer.compare(address, end) <= 0;
  });
}

/** Labels of a name that are looked at; a DNS name has 127 at most, an identity some five. */
const MAX_LABELS = 32;
/** By the number of candidates, one parameter each. Each text is made once: a database prepares what it knows by identity. */
const SELECTS: readonly (readonly string[])[] = Array.from({ length: MAX_LABELS + 2 }, (_, count) => [
  "SELECT * FROM device WHERE identity IN (",
  ...Array.from({ length: count - 1 }, () => ", "),
  ")",
]);
