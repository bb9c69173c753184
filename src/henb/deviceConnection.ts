/** How a device connects to its gateway, by its configuration and its TrE. */
import type { DataPlane } from "../esp/dataPlane.ts";
import { CfgAttribute } from "../ike/codec/numbers.ts";
import type { Connection } from "../ike/sa/connection.ts";
import { blockSelector, connectionFrom } from "../ipsec/settings.ts";
import type { TrustedEnvironment } from "../tre/trustedEnvironment.ts";
import type { DeviceConfig } from "./config.ts";

/** What every attempt offers; `hostingParty`: another authentication is to follow the device's (TS 33.320 A.2). */
export async function connectionTo(
  config: DeviceConfig,
  tre: TrustedEnvironment,
  plane: Pick<DataPlane, "needsUdpEncapsulation">,
  hostingParty: boolean,
): Promise<Connection> {
  const { idType, idData } = await tre.identity();
  const { name } = config.gateway;
  return {
    ...connectionFrom(config.ike, config.esp, plane),
    name,
    identity: { idType, idData },
    trustedCaHashes: await tre.rootKeyHashes(),
    askOcsp: config.ocsp.inBand === "off" ? undefined : { responderHashes: await tre.ocspResponderHashes() },
    localSelectors: anyAddress(config),
    remoteSelectors: config.reach.map(blockSelector).filter(({ type }) => wants(config, type === 7 ? "ipv4" : "ipv6")),
    connectedTo: /[a-z]/i.test(name) && !name.includes(":") ? { fqdn: name } : { address: name },
    requestAttributes: requestAttributes(config),
    integrityInfo: config.sendIntegrityInfo,
    hostingParty,
    // A gateway's address does not change under way; whoever claims otherwise is not followed.
    followPeerAddress: false,
  };
}

function wants(config: DeviceConfig, family: "ipv4" | "ipv6"): boolean {
  return config.requestAddresses.includes(family);
}

/** What we protect on our side before the gateway has told us our address: anything (RFC 7296 2.19). */
function anyAddress(config: DeviceConfig) {
  return [
    ...(wants(config, "ipv4") ? [blockSelector("0.0.0.0/0")] : []),
    ...(wants(config, "ipv6") ? [blockSelector("::/0")] : []),
  ];
}

function requestAttributes(config: DeviceConfig): number[] {
  const { INTERNAL_IP4_ADDRESS, INTERNAL_IP4_NETMASK, INTERNAL_IP4_DNS, INTERNAL_IP6_ADDRESS, INTERNAL_IP6_DNS } =
    CfgAttribute;
  return [
    ...(wants(config, "ipv4") ? [INTERNAL_IP4_ADDRESS, INTERNAL_IP4_NETMASK, INTERNAL_IP4_DNS] : []),
    ...(wants(config, "ipv6") ? [INTERNAL_IP6_ADDRESS, INTERNAL_IP6_DNS] : []),
  ];
}
