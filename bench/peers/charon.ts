/**
 * strongSwan's charon as the measure of a gateway.
 *
 * Debian packages no charon without a kernel (the load-tester plugin with its fake kernel is left out), so the kernel's
 * part is played by kernel-libipsec, with selectors for which that installs no route: what is left of it is entries in
 * lists, 8 % of charon's CPU time here. Everything else is set in charon's favour: no cookies or half-open limits, hash
 * tables sized for the load, no log, no uniqueness check.
 */
import { join } from "node:path";
import type { Settings } from "../../test/interop/strongswan/settings.ts";
import { StrongSwan } from "../../test/interop/strongswan/strongswan.ts";
import { GATEWAY_IDENTITY, type GatewayPeer } from "./peer.ts";

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
