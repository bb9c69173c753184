/**
 * The answering side of RADIUS, without a socket or a clock of its own: an AAA server, or the port of a gateway that
 * takes Disconnect and CoA (RFC 2865 2, RFC 2866 2, RFC 5176 2.3, RFC 5080 2.2.2, RFC 5997, RFC 6614).
 *
 * What cannot be believed is dropped without a word, as RADIUS wants it; the reason is an event. A request that comes
 * again gets the same octets again, and is carried out once: known by who sent it, from which port, its Identifier and
 * its authenticator.
 */
import type { Bytes } from "../../bytes/bytes.ts";
import { cidrRange, parseCidr, parseIp } from "../../bytes/ip.ts";
import { DecodeError } from "../../bytes/reader.ts";
import type { Clock, Milliseconds, Random } from "../../sim/environment.ts";
import { type IntegrityProblem, sealResponse, verifyRequest } from "../codec/authenticators.ts";
import { mppeKeys } from "../codec/mppeKeys.ts";
import { Code } from "../codec/numbers.ts";
import { type Attribute, decodePacket, isNamed, type RadiusPacket } from "../codec/packet.ts";

/** Names a request that was received and has yet to be answered. */
export type RadiusHandle = number & { readonly __brand: "RadiusHandle" };

/** What a port is for; RadSec carries all on one connection (RFC 6614 2.5). */
export type PortPurpose = "authentication" | "accounting" | "dynamicAuthorization" | "all";

/** Who may send requests, known by address and secret, or by the name in its certificate. */
export interface ClientSettings {
  name: string;
  by: { kind: "address"; block: string; secret: Bytes } | { kind: "certificate"; fqdn: string };
}

/** Where a packet came from; the answer goes back there. */
export type Source =
  | { kind: "udp"; socket: number; purpose: PortPurpose; address: string; port: number }
  /** A TLS connection whose certificate was verified. */
  | { kind: "tls"; connection: number; names: readonly string[] };

export interface RadiusServerOptions {
  clock: Clock;
  random: Random;
  clients: readonly ClientSettings[];
  limits?: Partial<RadiusServerLimits>;
}

export interface RadiusServerLimits {
  /** Answers kept for requests that come again. */
  duplicates: number;
  /** How long they are kept. */
  duplicateLife: Milliseconds;
  /** Requests that wait for the application. */
  working: number;
}

export interface RadiusAnswer {
  code: number;
  attributes: readonly Attribute[];
  /** 64 octets, hidden in MS-MPPE-Recv-Key and MS-MPPE-Send-Key. */
  msk?: Bytes | undefined;
}

export type RadiusServerEffect =
  | { kind: "send"; to: Source; bytes: Bytes }
  | { kind: "requested"; handle: RadiusHandle; packet: RadiusPacket; client: string; source: Source }
  | { kind: "dropped"; reason: RadiusDropReason; source: Source; message: string };

export type RadiusDropReason =
  | "UnknownClient"
  | "Malformed"
  | IntegrityProblem
  /** A code that this port does not take. */
  | "UnexpectedCode"
  | "TooBusy";

/** Octets are kept as latin1 text: as Buffers each of them would keep a whole piece of Node's pool for half a minute. */
interface Known {
  authenticator: string;
  since: Milliseconds;
  /** Undefined while the application is at work. */
  response: string | undefined;
}

interface Working {
  packet: RadiusPacket;
  secret: Bytes;
  source: Source;
  key: string;
}

export class RadiusServer {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #clients: ClientTable;
  readonly #limits: RadiusServerLimits;
  /** In the order in which the requests came last. */
  readonly #known = new Map<string, Known>();
  readonly #working = new Map<RadiusHandle, Working>();
  #nextHandle = 1;

  constructor({ clock, random, clients, limits }: RadiusServerOptions) {
    this.#clock = clock;
    this.#random = random;
    this.#clients = new ClientTable(clients);
    this.#limits = { ...LIMITS, ...limits };
  }

  /** One datagram or one packet of a stream. */
  received(bytes: Bytes, source: Source): RadiusServerEffect[] {
    const drop = (reason: RadiusDropReason, message: string): RadiusServerEffect[] => {
      return [{ kind: "dropped", reason, source, message: `${describeSource(source)}: ${message}` }];
    };
    const client = this.#clients.find(source);
    if (client === undefined) return drop("UnknownClient", "no client of this server");
    let packet: RadiusPacket;
    try {
      packet = decodePacket(bytes);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      return drop("Malformed", error.message);
    }
    const whole = bytes.subarray(0, bytes.readUInt16BE(2));
    const { code, identifier } = packet;
    if (!takes(source.kind === "tls" ? "all" : source.purpose, code)) return drop("UnexpectedCode", `code ${code}`);
    const problem = verifyRequest(whole, client.secret);
    if (problem !== undefined) return drop(problem, `code ${code}, identifier ${identifier}: check the secret`);
    this.#forgetOld();
    const authenticator = packet.authenticator.toString("latin1");
    const key = `${keyOf(source)} ${identifier} ${purposeOf(code)}`;
    const known = this.#known.get(key);
    if (known?.authenticator === authenticator) {
      // It is kept as long as it keeps coming.
      known.since = this.#clock.now();
      this.#known.delete(key);
      this.#known.set(key, known);
      if (known.response === undefined) return [];
      return [{ kind: "send", to: source, bytes: Buffer.from(known.response, "latin1") }];
    }
    if (code === Code.StatusServer) return [this.#alive(packet, client.secret, source)];
    if (this.#working.size >= this.#limits.working) return drop("TooBusy", "too many requests wait");
    // The Identifier is used anew: what went before under it is over (RFC 5080 2.2.2).
    this.#known.delete(key);
    this.#known.set(key, { authenticator, since: this.#clock.now(), response: undefined });
    const handle = this.#nextHandle++ as RadiusHandle;
    this.#working.set(handle, { packet, secret: client.secret, source, key });
    return [{ kind: "requested", handle, packet, client: client.name, source }];
  }

  /** Answers a request, once; `undefined` drops it without a word. A second answer goes nowhere. */
  answer(handle: RadiusHandle, answer: RadiusAnswer | undefined): RadiusServerEffect[] {
    const working = this.#working.get(handle);
    if (working === undefined) return [];
    this.#working.delete(handle);
    const { packet, secret, source, key } = working;
    const known = this.#known.get(key);
    const current = known?.authenticator === packet.authenticator.toString("latin1") ? known : undefined;
    if (answer === undefined) {
      if (current !== undefined) this.#known.delete(key);
      return [];
    }
    const keys = answer.msk === undefined ? [] : mppeKeys(answer.msk, secret, packet.authenticator, this.#random);
    // RFC 2865 5.33: every Proxy-State goes back, in its order.
    const proxyStates = packet.attributes.filter((one) => isNamed(one, "Proxy-State"));
    const bytes = sealResponse(answer.code, packet, [...answer.attributes, ...keys, ...proxyStates], secret);
    if (current !== undefined) current.response = bytes.toString("latin1");
    return [{ kind: "send", to: source, bytes }];
  }

  /** Requests that wait for the application. */
  get working(): number {
    return this.#working.size;
  }

  /** Answers kept. */
  get remembered(): number {
    return this.#known.size;
  }

  /** RFC 5997: says that this server is there, in the terms of the port that was asked. */
  #alive(packet: RadiusPacket, secret: Bytes, source: Source): RadiusServerEffect {
    const accounting = source.kind === "udp" && source.purpose === "accounting";
    const proxyStates = packet.attributes.filter((one) => isNamed(one, "Proxy-State"));
    const code = accounting ? Code.AccountingResponse : Code.AccessAccept;
    return { kind: "send", to: source, bytes: sealResponse(code, packet, proxyStates, secret) };
  }

  #forgetOld(): void {
    const oldest = this.#clock.now() - this.#limits.duplicateLife;
    for (const [key, { since }] of this.#known) {
      if (since > oldest && this.#known.size < this.#limits.duplicates) break;
      this.#known.delete(key);
    }
  }
}

/** Clients by certificate name, and by address: the longest block that holds it. */
class ClientTable {
  readonly #byName = new Map<string, ClientSettings>();
  readonly #blocks: { start: Bytes; end: Bytes; prefix: number; name: string; secret: Bytes }[] = [];

  constructor(clients: readonly ClientSettings[]) {
    for (const client of clients) {
      if (client.by.kind === "certificate") {
        this.#byName.set(client.by.fqdn.toLowerCase(), client);
        continue;
      }
      const cidr = parseCidr(client.by.block);
      if (cidr === undefined) throw new TypeError(`"${client.by.block}" is no address block`);
      this.#blocks.push({ ...cidrRange(cidr), prefix: cidr.prefix, name: client.name, secret: client.by.secret });
    }
    this.#blocks.sort((a, b) => b.prefix - a.prefix);
  }

  find(source: Source): { name: string; secret: Bytes } | undefined {
    if (source.kind === "tls") {
      const client = source.names.map((name) => this.#byName.get(name.toLowerCase())).find((one) => one !== undefined);
      return client === undefined ? undefined : { name: client.name, secret: RADSEC_SECRET };
    }
    const address = parseIp(source.address);
    if (address === undefined) return undefined;
    return this.#blocks.find(
      ({ start, end }) =>
        start.length === address.length && Buffer.compare(start, address) <= 0 && Buffer.compare(address, end) <= 0,
    );
  }
}

/** RFC 6614 2.3: TLS protects, and the secret of the packets within is this. */
export const RADSEC_SECRET: Bytes = Buffer.from("radsec");

function takes(purpose: PortPurpose, code: number): boolean {
  if (code === Code.StatusServer) return purpose !== "dynamicAuthorization";
  return (purpose === "all" || purpose === purposeOf(code)) && purposeOf(code) !== undefined;
}

function purposeOf(code: number): PortPurpose | undefined {
  if (code === Code.AccessRequest || code === Code.StatusServer) return "authentication";
  if (code === Code.AccountingRequest) return "accounting";
  return code === Code.DisconnectRequest || code === Code.CoaRequest ? "dynamicAuthorization" : undefined;
}

function keyOf(source: Source): string {
  return source.kind === "tls" ? `tls ${source.connection}` : `${source.socket} ${source.address} ${source.port}`;
}

/** For people: address and port, or the name in the certificate. */
export function describeSource(source: Source): string {
  return source.kind === "tls"
    ? `TLS client ${source.names[0] ?? "without a name"}`
    : `${source.address}:${source.port}`;
}

const LIMITS: RadiusServerLimits = { duplicates: 16_384, duplicateLife: 30_000, working: 8_192 };
