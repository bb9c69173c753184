/**
 * Asking OCSP responders about the gateway (TS 33.320 7.2.2-5, -8): whom, in which order, for how long, and what the
 * answers come to. Requests and verdicts are the TrE's (7.2.2-11); bytes travel through a `StatusNetwork`.
 *
 * All certificates are asked about at once, the responders of one in turn until one says good or revoked. The first
 * `revoked` decides.
 */
import type { Bytes } from "../bytes/bytes.ts";
import { parseIp } from "../bytes/ip.ts";
import { describeFetchProblem } from "../revocation/fetching.ts";
import type { Ends } from "../revocation/httpExchange.ts";
import type { OcspFetched, OcspMethod } from "../revocation/ocspTransport.ts";
import { isWithin, type Reach } from "../revocation/reach.ts";
import type { Milliseconds, Timers } from "../sim/environment.ts";
import type { PeerRefusal, StatusRequest, TrustedEnvironment, VerifiedPathId } from "../tre/trustedEnvironment.ts";
import { mayBeAsked } from "../trust/revocationPolicy.ts";
import type { OcspConfig } from "./ocspConfig.ts";

/** The network as the queries need it. */
export interface StatusNetwork {
  /** Addresses of a host, by the system's resolver; rejects with what it says. */
  resolve(host: string): Promise<readonly string[]>;
  /** Brings a request from one end to the other; never rejects. */
  ask(url: string, request: Bytes, method: OcspMethod, ends: Ends): Promise<OcspFetched>;
}

/** A way to responders: directly, or through a tunnel. */
export interface StatusWay {
  readonly name: "direct" | "tunnel";
  /** The ends of a query to a port of a host with that address, made passable; or why there is no way to it. */
  endsTo(address: string, port: number): Ends | { problem: string };
}

/** Certificates of a path that are to be asked about, 0 being the end entity. */
export interface StatusQuestion {
  path: VerifiedPathId;
  certificates: readonly number[];
}

/** `goodUntil` is when the first of the good answers runs out, infinity without one. */
export type StatusOutcome =
  | { good: true; goodUntil: Milliseconds }
  /** `left` are the certificates that are not known to be good. */
  | { good: false; goodUntil: Milliseconds; refusal: PeerRefusal; left: readonly number[] };

export interface GatewayStatusParts {
  config: OcspConfig;
  tre: Pick<TrustedEnvironment, "statusRequest" | "judgeStatus">;
  network: StatusNetwork;
  timers: Timers;
}

export class GatewayStatus {
  readonly #parts: GatewayStatusParts;

  constructor(parts: GatewayStatusParts) {
    this.#parts = parts;
  }

  /** Asks, and decides within the configured deadline; rejects only where the TrE does. */
  check({ path, certificates }: StatusQuestion, way: StatusWay): Promise<StatusOutcome> {
    const { timers, config } = this.#parts;
    const queries = certificates.map((at): Query => ({ path, at, subject: undefined, tried: [], finding: undefined }));
    const round = { over: false };
    return new Promise((resolve, reject) => {
      const end = () => {
        round.over = true;
        cancel();
      };
      const decide = () => {
        if (round.over) return;
        end();
        resolve(outcomeOf(queries, way));
      };
      const cancel = timers.after(config.deadline, () => {
        for (const query of queries)
          if (query.finding === undefined)
            query.tried.push({ problem: `no valid answer within ${config.deadline} ms in all` });
        decide();
      });
      const asked = queries.map(async (query) => {
        await this.#ask(query, way, round);
        if (query.finding?.status === "revoked") decide();
      });
      Promise.all(asked).then(decide, (error) => {
        end();
        reject(error);
      });
    });
  }

  /** Asks one responder after the other until one says good or revoked. */
  async #ask(query: Query, way: StatusWay, round: { over: boolean }): Promise<void> {
    const { config } = this.#parts;
    const asked = responders(config, await this.#request(query), way);
    if (asked.length === 0) query.tried.push({ problem: "no responder is configured, or named and allowed" });
    for (const { url, reach } of asked) {
      for (const ends of await this.#waysTo(url, reach, way, query)) {
        if (round.over) return;
        const finding = await this.#askOne(url, ends, query);
        if (round.over) return;
        if (finding !== undefined && (query.finding === undefined || finding.status !== "unknown"))
          query.finding = finding;
        if (finding !== undefined && finding.status !== "unknown") return;
      }
    }
  }

  async #askOne(url: string, ends: Ends, query: Query): Promise<Finding | undefined> {
    const { network, tre, config } = this.#parts;
    const { request, withNonce } = await this.#request(query);
    const fetched = await network.ask(url, request, withNonce ? "post" : config.method, ends);
    if (!fetched.ok) {
      query.tried.push({ url, problem: describeFetchProblem(fetched.problem) });
      return undefined;
    }
    const verdict = await tre.judgeStatus(query.path, query.at, fetched.der);
    if (verdict.status !== "invalid") return { ...verdict, url };
    query.tried.push({ url, problem: verdict.problem });
    return undefined;
  }

  async #request(query: Query): Promise<StatusRequest> {
    const made = await this.#parts.tre.statusRequest(query.path, query.at);
    query.subject = made.subject;
    return made;
  }

  /** The ends for each address of the responder's host that the way leads to. */
  async #waysTo(url: string, reach: Reach | undefined, way: StatusWay, query: Query): Promise<Ends[]> {
    const target = new URL(url);
    const host = target.hostname.replace(/^\[|\]$/g, "");
    const port = Number(target.port) || (target.protocol === "https:" ? 443 : 80);
    try {
      const addresses = parseIp(host) !== undefined ? [host] : await this.#parts.network.resolve(host);
      const ways = addresses.slice(0, MAX_ADDRESSES).map((address) => {
        if (reach === undefined || isWithin(address, reach)) return way.endsTo(address, port);
        return { problem: describeFetchProblem({ reason: "AddressRefused", address }) };
      });
      const [first] = ways;
      const open = ways.filter((one): one is Ends => "remote" in one);
      if (open.length === 0) query.tried.push({ url, problem: problemOf(first) });
      return open;
    } catch (error) {
      query.tried.push({ url, problem: `${host} is not resolved: ${error instanceof Error ? error.message : error}` });
      return [];
    }
  }
}

/** What is known of one certificate. */
interface Query {
  path: VerifiedPathId;
  at: number;
  subject: string | undefined;
  /** What came to nothing. */
  tried: { url?: string; problem: string }[];
  finding: Finding | undefined;
}

type Finding =
  | { status: "good"; goodUntil: Milliseconds; url: string }
  | { status: "revoked" | "unknown"; refusal: PeerRefusal; url: string };

/**
 * 7.2.2-8: a responder that the certificate names is asked only if the operator lists `certificate`, and only on the
 * public network or on hosts that are listed. Through the tunnel all of the operator's network is open to it: the gateway
 * decides what the tunnel reaches.
 */
function responders(
  { origins, responders, namedHosts }: OcspConfig,
  { named }: StatusRequest,
  way: StatusWay,
): Asked[] {
  const reach = { hosts: way.name === "tunnel" ? (namedHosts ?? []) : namedHosts };
  const all = origins.flatMap((origin): Asked[] =>
    origin === "operator"
      ? responders.map((url) => ({ url, reach: undefined }))
      : named.filter((url) => mayBeAsked(url, "ocsp", namedHosts)).map((url) => ({ url, reach })),
  );
  // One that the operator has configured as well is open by that.
  const byOperator = (url: string) => all.find((one) => one.url === url && one.reach === undefined);
  const urls = [...new Set(all.map(({ url }) => url))];
  return urls.slice(0, MAX_RESPONDERS).map((url) => byOperator(url) ?? { url, reach });
}

interface Asked {
  url: string;
  /** Of an address that a certificate names. */
  reach: Reach | undefined;
}

/** 7.2.3-4: without a valid `good` for each certificate the gateway is not relied on. */
function outcomeOf(queries: readonly Query[], way: StatusWay): StatusOutcome {
  const revoked = queries.find(({ finding }) => finding?.status === "revoked");
  const open = queries.filter(({ finding }) => finding?.status !== "good");
  const ends = queries.map(({ finding }) =>
    finding?.status === "good" ? finding.goodUntil : Number.POSITIVE_INFINITY,
  );
  const goodUntil = Math.min(...ends);
  const worst = revoked ?? open[0];
  if (worst === undefined) return { good: true, goodUntil };
  return { good: false, goodUntil, refusal: refusalOf(worst, way), left: open.map(({ at }) => at) };
}

function refusalOf({ finding, subject, tried }: Query, { name }: StatusWay): PeerRefusal {
  if (finding !== undefined && finding.status !== "good") {
    const { reason, message, evidence } = finding.refusal;
    return { reason, message, evidence: { ...evidence, url: finding.url, way: name, tried } };
  }
  const problems = tried.map(({ url, problem }) => (url === undefined ? problem : `${url}: ${problem}`)).join("; ");
  return {
    reason: "NoValidOcspResponse",
    message: `no valid OCSP response for "${subject}" was to be had ${WAYS[name]}: ${problems} (TS 33.320 7.2.3)`,
    evidence: { certificate: subject, way: name, tried },
  };
}

function problemOf(ends: Ends | { problem: string } | undefined): string {
  return ends !== undefined && "problem" in ends ? ends.problem : "its host has no address";
}

const WAYS = { direct: "directly", tunnel: "through the tunnel" } as const;
/** Of one host, and of one certificate. */
const MAX_ADDRESSES = 4;
const MAX_RESPONDERS = 8;
