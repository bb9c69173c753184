/**
 * The certificates and the OCSP response that a security gateway shows in IKE_AUTH.
 *
 * A gateway shows them only to a device that it has authenticated, so this attaches as one, with a certificate given for
 * that, and deletes the IKE SA at once; no packet of a user passes. To the gateway that device has attached, and it lets go
 * of an older attachment (TS 33.320 A.1-9).
 *
 * Rejected: refusing the gateway instead, which is told once (RFC 7296 2.21.2) and, if that is lost, leaves it with an IKE
 * SA until its dead peer detection.
 */
import { createPrivateKey, type KeyObject } from "node:crypto";
import { createSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { isIP, isIPv6 } from "node:net";
import { NonePlane } from "../../esp/planes/none.ts";
import type { TrafficSelector } from "../../esp/selector.ts";
import { ENDPOINT_DEFAULTS } from "../../ike/endpoint.ts";
import { CONNECTION_DEFAULTS, type Connection } from "../../ike/sa/connection.ts";
import type { IkeEvent, OwnAuth } from "../../ike/sa/effects.ts";
import { parseEspProposal, parseIkeProposal } from "../../ike/sa/proposal.ts";
import { IkeService } from "../../ipsec/ikeService.ts";
import { UdpPorts } from "../../ipsec/udpPorts.ts";
import { systemEnvironment } from "../../sim/system.ts";
import { AuthSignatureError, signAuth, verifyAuth } from "../../tre/authSignature.ts";
import { fqdnIdentity } from "../../tre/identity.ts";
import type { PeerCredentials } from "../../tre/trustedEnvironment.ts";
import { type Certificate, parseCertificate } from "../../x509/certificate.ts";
import { fromPem } from "../../x509/pem.ts";
import type { ClientCredentials, LiveTarget } from "./liveTls.ts";
import { addBag, emptyMaterial, type Material, UnreachableHost, UnreadableInput } from "./material.ts";

export interface LiveGateway extends LiveTarget {
  /** The gateway's NAT traversal port. */
  natPort: number;
}

interface Device {
  chain: readonly Certificate[];
  key: KeyObject;
  fqdn: string;
}

/** Throws UnreadableInput for credentials that cannot serve, UnreachableHost where the gateway does not show itself. */
export async function readLiveIke(
  target: LiveGateway,
  credentials: ClientCredentials | undefined,
  anchors: readonly Certificate[],
): Promise<Material> {
  const origin = `ike://${target.host}:${target.port}`;
  const device = deviceOf(credentials);
  const remote = await addressOf(target.host, origin);
  const shown = await attach({ ...target, remote, origin }, device, anchors);
  const material = emptyMaterial();
  addBag({ certificates: [...shown.certificates], crls: [] }, origin, material, "segw");
  const [end] = material.certificates;
  if (end?.item.der.equals(shown.certificates[0]!)) Object.assign(end, disproof(end.item, shown));
  for (const item of shown.ocspResponses) material.ocspResponses.push({ item, origin: `${origin} in-band` });
  if (shown.certificates.length === 0) throw new UnreachableHost(`${origin} authenticated without a certificate`);
  return material;
}

/** Who answers must hold the key of the certificate that it shows. */
function disproof(certificate: Certificate, shown: PeerCredentials): { disproof?: string } {
  const key = certificate.publicKey;
  if (key === undefined) return { disproof: "its key cannot be read, so that AUTH cannot be verified" };
  try {
    verifyAuth(key, shown.authMethod, shown.authData, shown.octets, HASHES);
    return {};
  } catch (error) {
    if (!(error instanceof AuthSignatureError)) throw error;
    return { disproof: `who answered did not prove to hold its key: ${error.message}` };
  }
}

async function attach(
  target: LiveGateway & { remote: string; origin: string },
  device: Device,
  anchors: readonly Certificate[],
): Promise<PeerCredentials> {
  const { origin, remote } = target;
  const { clock, random, timers } = systemEnvironment;
  const outcome = Promise.withResolvers<PeerCredentials>();
  /** Once there is an IKE SA that can be deleted, or none any more. */
  const settled = Promise.withResolvers<void>();
  const service = new IkeService({
    endpoint: { ...ENDPOINT_DEFAULTS, clock, random, responder: undefined },
    decisions: {
      computeAuth: ({ octets, peerHashes }): OwnAuth => ({
        ...signAuth(device.key, octets, peerHashes),
        certificates: device.chain.map(({ der }) => der),
        ocspResponses: [],
      }),
      verifyPeer: ({ credentials }) => {
        outcome.resolve(credentials);
        return { evidence: { path: [], ocsp: "not looked at", names: [] } };
      },
      assignAddress: () => ({ reason: "NoAddresses", message: "femtogate check gives no addresses" }),
    },
    timers,
    onEvent: (event) => {
      const problem = problemOf(event);
      if (problem !== undefined) outcome.reject(new UnreachableHost(`${origin}: ${problem}`));
      if (event.kind === "failed" || event.kind === "established") settled.resolve();
    },
    onFault: (what, error) => outcome.reject(new UnreachableHost(`${origin}: ${what}: ${messageOf(error)}`)),
  });
  const local = await localAddressFor(remote, target.port, origin);
  const ports = await UdpPorts.open({
    addresses: [local],
    ports: { ike: 0, natT: 0 },
    handler: service,
    onSendError: (error) => outcome.reject(new UnreachableHost(`${origin}: ${error.message}`)),
  }).catch((error: unknown) => {
    throw new UnreachableHost(`${origin}: ${messageOf(error)}`);
  });
  const giveUp = timers.after(TIMEOUT, () => {
    outcome.reject(new UnreachableHost(`${origin}: no answer within ${TIMEOUT} ms`));
    settled.resolve();
  });
  try {
    service.connect(ports, new NonePlane((event) => service.onEvent(event)));
    const [bound] = ports.bound;
    service.initiate(connectionOf(target, device, anchors), {
      local: bound!.ike,
      remote: { address: remote, port: target.port },
      natT: false,
      natPorts: { local: bound!.natT.port, remote: target.natPort },
    });
    const shown = await outcome.promise;
    await settled.promise;
    return shown;
  } finally {
    giveUp();
    await service.close(FAREWELL);
  }
}

function problemOf(event: IkeEvent): string | undefined {
  if (event.kind !== "failed") return undefined;
  const refusedUs = event.refusal.notify === AUTHENTICATION_FAILED;
  return `${event.refusal.message}${refusedUs ? "; it refuses the certificate given with --cert" : ""}`;
}

function connectionOf({ host }: LiveTarget, device: Device, anchors: readonly Certificate[]): Connection {
  return {
    ...CONNECTION_DEFAULTS,
    name: host,
    identity: fqdnIdentity(device.fqdn),
    ikeProposals: IKE_PROPOSALS.map((text) => parseIkeProposal(text)),
    espProposals: ESP_PROPOSALS.map((text) => parseEspProposal(text)),
    trustedCaHashes: anchors.map(({ keyHash }) => keyHash),
    askOcsp: { responderHashes: [] },
    signatureHashes: HASHES,
    localSelectors: ANY,
    remoteSelectors: ANY,
    connectedTo: isIP(host) === 0 ? { fqdn: host } : { address: host },
    requestAttributes: [INTERNAL_IP4_ADDRESS],
  };
}

function deviceOf(credentials: ClientCredentials | undefined): Device {
  if (credentials === undefined)
    throw new UnreadableInput(
      "a gateway shows its certificate only to a device that it knows: give one's certificate and key with --cert and --key",
    );
  const chain = fromPem(credentials.certificates, "CERTIFICATE").map((der) => parseCertificate(der));
  const fqdn = chain[0]?.extensions.subjectAltName?.dns[0];
  if (fqdn === undefined) throw new UnreadableInput("--cert has no certificate with an FQDN in subjectAltName");
  try {
    return { chain, key: createPrivateKey(credentials.key), fqdn };
  } catch (error) {
    throw new UnreadableInput(`--key: ${messageOf(error)}`);
  }
}

async function addressOf(host: string, origin: string): Promise<string> {
  try {
    return (await lookup(host)).address;
  } catch (error) {
    throw new UnreachableHost(`${origin}: ${messageOf(error)}`);
  }
}

/** The address that packets to `remote` leave from, as routing has it; nothing is sent. */
async function localAddressFor(remote: string, port: number, origin: string): Promise<string> {
  const socket = createSocket(isIPv6(remote) ? "udp6" : "udp4");
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.connect(port, remote, resolve);
    });
    return socket.address().address;
  } catch (error) {
    throw new UnreachableHost(`${origin}: ${messageOf(error)}`);
  } finally {
    socket.close();
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const IKE_PROPOSALS = [
  "aes128gcm16-aes256gcm16-prfsha256-prfsha384-prfsha512-x25519-ecp256-ecp384-modp2048-modp3072-modp4096",
  "aes128-aes192-aes256-sha256-sha384-sha512-sha1-x25519-ecp256-ecp384-modp2048-modp3072-modp4096",
];
const ESP_PROPOSALS = ["aes128gcm16-aes256gcm16", "aes128-aes192-aes256-sha256-sha384-sha512-sha1"];
/** SHA2-256, -384, -512 and SHA-1 (RFC 7427 7): whatever it signs with is looked at. */
const HASHES = [2, 3, 4, 1];
const ANY: readonly TrafficSelector[] = [
  {
    type: 7,
    protocol: 0,
    startPort: 0,
    endPort: 0xffff,
    startAddress: Buffer.alloc(4),
    endAddress: Buffer.alloc(4, 0xff),
  },
];
const INTERNAL_IP4_ADDRESS = 1;
const AUTHENTICATION_FAILED = 24;
/** Milliseconds for the gateway to show itself, and to answer the Delete. */
const TIMEOUT = 15_000;
const FAREWELL = 3_000;
