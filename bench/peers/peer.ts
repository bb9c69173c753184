/** What stands on either side of a handshake benchmark; each implementation is one file beside this one. */
import {
  type Credential,
  createAuthority,
  issueCertificate,
  type KeyKind,
} from "../../test/interop/strongswan/certificates.ts";

/** The algorithms of a run. */
export interface Suite {
  /** For people: "RSA-2048 + Curve25519". */
  title: string;
  keys: KeyKind;
  /** Proposals in strongSwan's notation (swanctl.conf(5)). */
  ike: string;
  esp: string;
}

/** Certificates of one run: a gateway and many devices below one root. */
export interface Credentials {
  root: Credential;
  gateway: Credential;
  /** Each with a certificate of its own (peers cache what they have checked), all with one key (making keys is slow). */
  devices: readonly { identity: string; credential: Credential }[];
}

export interface Setup {
  /** Network namespace to run in. */
  namespace: string;
  /** A folder of its own. */
  directory: string;
  /** Where the gateway serves IKE. */
  gatewayAddress: string;
  suite: Suite;
  credentials: Credentials;
}

export interface RunningGateway {
  /** The processes whose CPU time and memory count. */
  pids: readonly number[];
  stop(): Promise<void>;
}

export interface RunningDevices {
  /** Attaches `count` times, as one device after the other in turn; each attachment stays. Rejects if one fails. */
  attach(count: number): Promise<void>;
  stop(): Promise<void>;
}

export interface GatewayPeer {
  /** For people: "charon 5.9.8". */
  subject: string;
  note?: string;
  start(setup: Setup): Promise<RunningGateway>;
}

export interface DevicesPeer {
  start(setup: Setup): Promise<RunningDevices>;
}

export const GATEWAY_IDENTITY = "segw.bench.example";

/** Makes the certificates for `devices` devices in `directory`. */
export async function createCredentials(directory: string, suite: Suite, devices: number): Promise<Credentials> {
  const root = await createAuthority(directory, "root", suite.keys);
  const gateway = await issueCertificate(directory, "gateway", suite.keys, root, [`DNS:${GATEWAY_IDENTITY}`]);
  const made: { identity: string; credential: Credential }[] = [];
  for (let i = 0; i < devices; i++) {
    const identity = `ap-${i}.bench.example`;
    const key = made[0]?.credential ?? suite.keys;
    made.push({ identity, credential: await issueCertificate(directory, `ap-${i}`, key, root, [`DNS:${identity}`]) });
  }
  return { root, gateway, devices: made };
}
