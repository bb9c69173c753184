/**
 * strongSwan's charon as the measure of a gateway, and as a source of handshakes.
 *
 * Debian builds no kernel-less charon (the load-tester plugin with its fake kernel is not packaged), so the kernel's
 * part is played by kernel-libipsec, with selectors for which that installs no route: what is left of it is two entries
 * in a list. Everything else is set in charon's favour: no cookies or half-open limits, hash tables sized for the load,
 * no log, no uniqueness check.
 */
import { join } from "node:path";
import {
  type Credential,
  createAuthority,
  issueCertificate,
  type KeyKind,
} from "../../test/interop/strongswan/certificates.ts";
import type { Settings } from "../../test/interop/strongswan/settings.ts";
import { StrongSwan } from "../../test/interop/strongswan/strongswan.ts";
import type { Vici } from "../../test/interop/strongswan/vici.ts";

/** The algorithms of a run, in strongSwan's notation. */
export interface Suite {
  /** For people: "RSA-2048 + Curve25519". */
  title: string;
  keys: KeyKind;
  ike: string;
  esp: string;
}

/** Certificates of one run: a gateway and many devices below one root. */
export interface Credentials {
  root: Credential;
  gateway: Credential;
  /** Each with its own certificate (charon caches checked ones), all with one key (making keys is slow). */
  devices: readonly { identity: string; credential: Credential }[];
}

export const GATEWAY_IDENTITY = "segw.bench.example";

/** What charon answers with whatever is asked: it narrows 0.0.0.0/0 to this; see above for why it is multicast. */
const LOCAL_SELECTOR = "224.0.0.0/4";

/** Initiations under way at once. */
const CONCURRENCY = 8;

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

/** Starts charon as a gateway at `address`: any device of the root gets a virtual address. */
export function startCharonGateway(options: {
  namespace: string;
  directory: string;
  address: string;
  suite: Suite;
  credentials: Credentials;
}): Promise<StrongSwan> {
  const { namespace, address, suite, credentials } = options;
  return StrongSwan.start({
    namespace,
    directory: join(options.directory, "gateway"),
    credentials: [credentials.gateway],
    authorityCertificates: [credentials.root.certificate],
    pools: { devices: { addrs: "10.64.0.0/12" } },
    connections: {
      gateway: {
        version: 2,
        local_addrs: address,
        pools: "devices",
        unique: "never",
        proposals: suite.ike,
        local: { auth: "pubkey", id: GATEWAY_IDENTITY, certs: credentials.gateway.certificate },
        remote: { auth: "pubkey" },
        children: { inner: { local_ts: LOCAL_SELECTOR, esp_proposals: suite.esp } },
      },
    },
    charon: UNLIMITED,
    log: { default: -1 },
  });
}

/** Starts charon as all the devices at once, ready to attach to `gatewayAddress`. */
export function startCharonDevices(options: {
  namespace: string;
  directory: string;
  gatewayAddress: string;
  suite: Suite;
  credentials: Credentials;
}): Promise<StrongSwan> {
  const { namespace, gatewayAddress, suite, credentials } = options;
  const connections: Settings = {};
  for (const [index, { identity, credential }] of credentials.devices.entries()) {
    connections[`device-${index}`] = {
      version: 2,
      remote_addrs: gatewayAddress,
      vips: "0.0.0.0",
      unique: "never",
      proposals: suite.ike,
      local: { auth: "pubkey", id: identity, certs: credential.certificate },
      remote: { auth: "pubkey", id: GATEWAY_IDENTITY },
      children: { [`child-${index}`]: { remote_ts: "0.0.0.0/0", esp_proposals: suite.esp } },
    };
  }
  return StrongSwan.start({
    namespace,
    directory: join(options.directory, "devices"),
    credentials: credentials.devices.map((device) => device.credential),
    authorityCertificates: [credentials.root.certificate],
    connections,
    // Each initiation is an IKE SA of its own, also where one to that gateway stands. A command that waits for its
    // outcome holds a thread, so the usual 16 would leave none for packets.
    charon: { ...UNLIMITED, reuse_ikesa: false, threads: 16 + 4 * CONCURRENCY },
    log: { default: -1 },
  });
}

/** Attaches `count` times, each time as the next device; every attachment stays. Rejects if one fails. */
export async function attach(devices: StrongSwan, credentials: Credentials, count: number): Promise<void> {
  const sockets: Vici[] = [];
  try {
    for (let i = 0; i < CONCURRENCY; i++) {
      const vici = await devices.connect();
      sockets.push(vici);
      // An answer shows that charon has accepted; its queue of those not yet accepted is short.
      await vici.command("version");
    }
    let next = 0;
    const initiateInTurn = async (vici: Vici) => {
      while (next < count) {
        const index = next++ % credentials.devices.length;
        await vici.command("initiate", { child: `child-${index}`, timeout: "30000" });
      }
    };
    await Promise.all(sockets.map(initiateInTurn));
  } finally {
    for (const vici of sockets) vici.close();
  }
}

const UNLIMITED: Settings = {
  dos_protection: false,
  cookie_threshold: 0,
  block_threshold: 0,
  init_limit_half_open: 0,
  ikesa_limit: 0,
  ikesa_table_size: 4096,
  ikesa_table_segments: 16,
};
