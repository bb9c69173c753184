/** The client that the `management` section describes, with TrE, status service and network. */
import { lookup } from "node:dns/promises";
import { isIP, isIPv6 } from "node:net";
import type { Bytes } from "../bytes/bytes.ts";
import type { RoleEnvironment } from "../ipsec/roleShell.ts";
import { profilePolicy } from "../ipsec/settings.ts";
import type { Logger } from "../observe/log.ts";
import { type OpenStatusService, openStatusService } from "../revocation/open.ts";
import { describeStatus, refusalOf } from "../revocation/peerStatus.ts";
import type { StatusService } from "../revocation/statusService.ts";
import { SoftwareTlsEnvironment } from "../tre/softwareTlsEnvironment.ts";
import type { PeerRefusal } from "../tre/trustedEnvironment.ts";
import { parseCertificate } from "../x509/certificate.ts";
import { type InnerAccess, resolveInside } from "./innerAccess.ts";
import { APPEAR, ManagementError } from "./management.ts";
import { ManagementClient } from "./managementClient.ts";
import type { ManagementConfig } from "./managementConfig.ts";
import { hostOf, runManagementSession } from "./managementSession.ts";

export interface OpenManagement extends AsyncDisposable {
  client: ManagementClient;
  /** Addresses that are to be reached past the tunnel; to be called before there is one. */
  outside(): Promise<readonly string[]>;
}

/** Opens the TrE's TLS credentials; throws TreError, or for files that cannot be read. */
export function openManagement(
  section: ManagementConfig,
  where: { tre: string; folder: string },
  { clock, random, timers }: RoleEnvironment,
  log: Logger,
): OpenManagement {
  const { revocation, status: way, via, answerWithin, every, retryAfter } = section;
  const { allowWeakAlgorithms, minVersion, tolerance: ocspTolerance, maxAge: ocspMaxAge } = section;
  const tre = new SoftwareTlsEnvironment(where.tre, {
    clock,
    allowWeakAlgorithms,
    minVersion,
    profile: profilePolicy(section.profile, "hems"),
    ocspTolerance,
    ocspMaxAge,
    ocspDelegates: section.delegates,
  });
  let status: OpenStatusService | undefined;
  // Not before it is needed: it may begin to fetch CRLs, and a device that is not fit sends nothing (TS 33.320 A.1-1).
  const statusService = () => {
    status ??= openStatusService({
      section: revocation,
      folder: where.folder,
      cas: [],
      allowWeakAlgorithms,
      clock,
      random,
    });
    return status.service;
  };
  const url = new URL(section.url);
  const client = new ManagementClient({
    async run(inner, signal) {
      const known = await addressesOf(url, section.addresses, via === "tunnel" ? inner : undefined);
      const addresses = via === "tunnel" ? behind(inner, known, url) : known;
      return runManagementSession({
        url,
        addresses,
        localAddress: via === "direct" ? undefined : inner.addresses.find((own) => sameFamily(own, addresses[0])),
        tre,
        status: way,
        askStatus: (path) => askStatus(statusService(), path),
        conversation: APPEAR,
        answerWithin,
        signal,
      });
    },
    every,
    retryAfter,
    clock,
    random,
    timers,
    onManaged: ({ address, tls, names, ocsp, requests }, lasted) =>
      log.info(
        { event: "managed", url: section.url, address, tls, names, ocsp, requests, lasted },
        `the H(e)MS ${hostOf(url)} at ${address} has nothing more to say: ${tls}, ${ocsp}`,
      ),
    onFailed: ({ reason, message, evidence }) =>
      log.warn({ event: "managementFailed", reason, evidence }, `no session with the H(e)MS: ${message} (${reason})`),
    onFault: (error) => {
      const problem = error instanceof Error ? error.message : String(error);
      log.error({ event: "fault", problem }, `the session with the H(e)MS broke off: ${problem}`);
    },
  });
  return {
    client,
    async outside() {
      if (via === "tunnel") return [];
      // What DNS does not say now it may say later; then it goes where the routes lead.
      return addressesOf(url, section.addresses).catch(() => []);
    },
    async [Symbol.asyncDispose]() {
      client.detached();
      await status?.[Symbol.asyncDispose]();
    },
  };
}

/** Through the tunnel the operator's own DNS is asked first: the public one may not know the name. */
async function addressesOf(url: URL, configured: readonly string[], inner?: InnerAccess): Promise<readonly string[]> {
  if (configured.length > 0) return configured;
  const name = hostOf(url);
  if (isIP(name) > 0) return [name];
  const inside = inner === undefined ? [] : await resolveInside(name, inner, DNS_TIMEOUT);
  if (inside.length > 0) return inside;
  try {
    return (await lookup(name, { all: true })).map(({ address }) => address);
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new ManagementError({
      reason: "HemsUnreachable",
      message: `${name} is not resolved by DNS (${why}); management.addresses can name its addresses`,
    });
  }
}

/** TS 33.320 8.3.1: what is to go through the tunnel goes nowhere else. */
function behind(inner: InnerAccess, addresses: readonly string[], url: URL): readonly string[] {
  const inside = addresses.filter((address) => inner.reaches(address, Number(url.port || HTTPS_PORT)));
  if (inside.length > 0) return inside;
  throw new ManagementError({
    reason: "HemsUnreachable",
    message: `${hostOf(url)} is at ${addresses.join(", ")}, which the tunnel does not lead to: see reach, and the gateway's protected; or via: direct`,
  });
}

const HTTPS_PORT = 443;
/** Milliseconds until a DNS server is asked again, or another. */
const DNS_TIMEOUT = 2_000;

/** 8.3.2.1-2, by the policy for management servers. */
async function askStatus(service: StatusService, path: readonly Bytes[]): Promise<string | PeerRefusal> {
  const verdict = await service.check(
    path.map((der) => parseCertificate(der)),
    "managementServer",
  );
  return verdict.accepted ? describeStatus(verdict.certificates[0]) : refusalOf(verdict.refusal);
}

function sameFamily(own: string, other: string | undefined): boolean {
  return other !== undefined && isIPv6(own) === isIPv6(other);
}
