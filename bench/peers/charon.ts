/**
 * strongSwan's charon as the measure of a gateway, and as a source of handshakes.
 *
 * Debian packages no charon without a kernel (the load-tester plugin with its fake kernel is left out), so the kernel's
 * part is played by kernel-libipsec, with selectors for which that installs no route: what is left of it is entries in
 * lists, 8 % of charon's CPU time here. Everything else is set in charon's favour: no cookies or half-open limits, hash
 * tables sized for the load, no log, no uniqueness check.
 */
import { join } from "node:path";
import type { Settings } from "../../test/interop/strongswan/settings.ts";
import { StrongSwan } from "../../test/interop/strongswan/strongswan.ts";
import type { Vici } from "../../test/interop/strongswan/vici.ts";
import { type DevicesPeer, GATEWAY_IDENTITY, type GatewayPeer, type Setup } from "./peer.ts";

/** Initiations under way at once. */
const CONCURRENCY = 8;

/** Milliseconds one attachment may take on a machine busy with the rest of them. */
const ATTACH_LIMIT_MS = 30_000;

/** What charon narrows a device's 0.0.0.0/0 to; kernel-libipsec installs no route from a multicast network. */
const LOCAL_SELECTOR = "224.0.0.0/4";

const UNLIMITED: Settings = {
  dos_protection: false,
  cookie_threshold: 0,
  block_threshold: 0,
  init_limit_half_open: 0,
  ikesa_limit: 0,
  ikesa_table_size: 4096,
  ikesa_table_segments: 16,
};

/** charon as the gateway: any device of the root gets a virtual address. */
export const charonGateway: GatewayPeer = {
  subject: "charon 5.9.8",
  note: "ESP by kernel-libipsec, no routes installed",
  async start({ namespace, directory, gatewayAddress, suite, credentials }) {
    const charon = await StrongSwan.start({
      namespace,
      directory: join(directory, "charon-gateway"),
      credentials: [credentials.gateway],
      authorityCertificates: [credentials.root.certificate],
      pools: { devices: { addrs: "10.64.0.0/12" } },
      connections: {
        gateway: {
          version: 2,
          local_addrs: gatewayAddress,
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
    return { pids: [charon.pid], stop: () => charon.crash() };
  },
};

/** One charon as all the devices. */
export const charonDevices: DevicesPeer = {
  async start(setup) {
    const charon = await startDevices(setup);
    return {
      attach: (count) => attach(charon, setup.credentials.devices.length, count),
      stop: () => charon.crash(),
    };
  },
};

function startDevices({ namespace, directory, gatewayAddress, suite, credentials }: Setup): Promise<StrongSwan> {
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
    directory: join(directory, "charon-devices"),
    credentials: credentials.devices.map((device) => device.credential),
    authorityCertificates: [credentials.root.certificate],
    connections,
    // Each initiation is an IKE SA of its own, also where one to that gateway stands. A command that waits for its
    // outcome holds a thread, so the usual 16 would leave none for packets.
    charon: { ...UNLIMITED, reuse_ikesa: false, threads: 16 + 4 * CONCURRENCY },
    log: { default: -1 },
  });
}

async function attach(charon: StrongSwan, devices: number, count: number): Promise<void> {
  const sockets: Vici[] = [];
  try {
    for (let i = 0; i < CONCURRENCY; i++) {
      const vici = await charon.connect();
      sockets.push(vici);
      // An answer shows that charon has accepted; its queue of those not yet accepted is short.
      await vici.command("version");
    }
    let next = 0;
    const initiateInTurn = async (vici: Vici) => {
      while (next < count) {
        const index = next++ % devices;
        await vici.command("initiate", { child: `child-${index}`, timeout: String(ATTACH_LIMIT_MS) });
      }
    };
    await Promise.all(sockets.map(initiateInTurn));
  } finally {
    for (const vici of sockets) vici.close();
  }
}
