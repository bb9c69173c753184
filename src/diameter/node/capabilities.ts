/** What peers tell each other when they meet (RFC 6733 5.3): CER, CEA, and what both can do. */
import type { CapabilitiesExchange, RequestValues } from "../codec/commands.ts";
import type { Values } from "../codec/grammar.ts";
import { Application, ResultCode } from "../codec/numbers.ts";
import type { NodeIdentity, SpokenApplication } from "./settings.ts";

export interface Capabilities {
  /** In small letters: identities are compared without regard to case (RFC 6733 4.3.1). */
  host: string;
  realm: string;
  product: string;
  applications: ReadonlySet<number>;
  /** Forwards any application (RFC 6733 2.4). */
  relay: boolean;
  originStateId: number | undefined;
}

export function capabilitiesOf(values: RequestValues<typeof CapabilitiesExchange>): Capabilities {
  const applications = new Set<number>([
    ...(values["Auth-Application-Id"] ?? []),
    ...(values["Acct-Application-Id"] ?? []),
  ]);
  for (const specific of values["Vendor-Specific-Application-Id"] ?? []) {
    const id = specific["Auth-Application-Id"] ?? specific["Acct-Application-Id"];
    if (id !== undefined) applications.add(id);
  }
  return {
    host: values["Origin-Host"].toLowerCase(),
    realm: values["Origin-Realm"].toLowerCase(),
    product: values["Product-Name"].replaceAll(/[^\x20-\x7e]/g, "?"),
    applications,
    relay: applications.has(Application.relay),
    originStateId: values["Origin-State-Id"],
  };
}

/** Result-Code that refuses these capabilities, or undefined if there is something to talk about (RFC 6733 5.3). */
export function refuseCapabilities(
  values: RequestValues<typeof CapabilitiesExchange>,
  spoken: readonly SpokenApplication[],
): number | undefined {
  const { applications, relay } = capabilitiesOf(values);
  const security = values["Inband-Security-Id"] ?? [];
  // TLS comes before CER or not at all here (RFC 6733 13.1); 0 is NO_INBAND_SECURITY.
  if (security.length > 0 && !security.includes(0)) return ResultCode.NO_COMMON_SECURITY;
  if (!relay && !spoken.some(({ id }) => applications.has(id))) return ResultCode.NO_COMMON_APPLICATION;
  return undefined;
}

/** What this node says of itself in CER, and in CEA besides the result. */
export function ownCapabilities(
  identity: NodeIdentity,
  spoken: readonly SpokenApplication[],
): Values<(typeof CapabilitiesExchange)["request"]> {
  const plain = spoken.filter(({ vendor }) => vendor === 0);
  const specific = spoken.filter(({ vendor }) => vendor !== 0);
  return {
    "Origin-Host": identity.host,
    "Origin-Realm": identity.realm,
    "Vendor-Id": identity.vendor,
    "Product-Name": identity.product,
    "Origin-State-Id": identity.originStateId,
    "Host-IP-Address": identity.addresses,
    "Supported-Vendor-Id": [...new Set(specific.map(({ vendor }) => vendor))],
    "Auth-Application-Id": plain.filter(({ accounting }) => !accounting).map(({ id }) => id),
    "Acct-Application-Id": plain.filter(({ accounting }) => accounting).map(({ id }) => id),
    "Vendor-Specific-Application-Id": specific.map(({ id, vendor, accounting }) => ({
      "Vendor-Id": vendor,
      ...(accounting ? { "Acct-Application-Id": id } : { "Auth-Application-Id": id }),
    })),
  };
}
