/**
 * The AVPs known here, as data: number, vendor, M bit, format, and the members of grouped ones.
 *
 * The types of values follow from it (`Values` in grammar.ts), so that a name mistyped or a number where text belongs
 * does not compile. Sources: RFC 6733 4.5, RFC 7155 (network access), RFC 4072 6 (EAP), RFC 5447/5778 (Service-
 * Selection), TS 29.229 6.3, TS 29.272 7.3, TS 29.273 (SWm 7.2.3, SWx 8.2.3), TS 29.212 for what they reuse.
 */
import { VENDOR_3GPP } from "./numbers.ts";
import type { BasicType } from "./values.ts";

/** Which AVPs a command or group has: exactly one, at most one, any number of each. */
export interface Grammar {
  readonly required: readonly string[];
  readonly optional: readonly string[];
  readonly repeated: readonly string[];
}

interface AvpBasics {
  readonly code: number;
  readonly vendor: number;
  /** M bit as sent. */
  readonly mandatory: boolean;
  /** Never shown in ladders or logs. */
  readonly secret?: boolean;
}

export type AvpDefinition =
  | (AvpBasics & { readonly format: BasicType })
  | (AvpBasics & { readonly format: "Grouped"; readonly members: Grammar })
  /** Any AVPs, undecoded: Failed-AVP. */
  | (AvpBasics & { readonly format: "AnyAvps" });

/** An AVP of the IETF whose M bit is set. */
const must = <const F extends BasicType>(code: number, format: F) => ({ code, vendor: 0, mandatory: true, format });
/** One whose M bit is clear. */
const may = <const F extends BasicType>(code: number, format: F) => ({ code, vendor: 0, mandatory: false, format });
/** An AVP of 3GPP, M bit set or clear. */
const must3gpp = <const F extends BasicType>(code: number, format: F) => ({
  ...must(code, format),
  vendor: VENDOR_3GPP,
});
const may3gpp = <const F extends BasicType>(code: number, format: F) => ({ ...may(code, format), vendor: VENDOR_3GPP });
const secret = <const D extends AvpBasics>(definition: D) => ({ ...definition, secret: true });
const group = <const G extends Partial<Grammar>>(code: number, vendor: number, mandatory: boolean, members: G) => ({
  code,
  vendor,
  mandatory,
  format: "Grouped" as const,
  members: { required: NONE, optional: NONE, repeated: NONE, ...members } as Complete<G>,
});

/** A grammar with what was left out. */
export type Complete<G extends Partial<Grammar>> = {
  readonly [K in keyof Grammar]: G[K] extends readonly string[] ? G[K] : readonly [];
};

const NONE = [] as const;

export const AVPS = {
  // RFC 6733: base protocol.
  "Acct-Interim-Interval": must(85, "Unsigned32"),
  "Accounting-Record-Number": must(485, "Unsigned32"),
  "Accounting-Record-Type": must(480, "Enumerated"),
  "Acct-Application-Id": must(259, "Unsigned32"),
  "Auth-Application-Id": must(258, "Unsigned32"),
  "Auth-Grace-Period": must(276, "Unsigned32"),
  "Auth-Request-Type": must(274, "Enumerated"),
  "Auth-Session-State": must(277, "Enumerated"),
  "Authorization-Lifetime": must(291, "Unsigned32"),
  Class: must(25, "OctetString"),
  "Destination-Host": must(293, "DiameterIdentity"),
  "Destination-Realm": must(283, "DiameterIdentity"),
  "Disconnect-Cause": must(273, "Enumerated"),
  "Error-Message": may(281, "UTF8String"),
  "Error-Reporting-Host": may(294, "DiameterIdentity"),
  "Event-Timestamp": must(55, "Time"),
  "Experimental-Result": group(297, 0, true, { required: ["Vendor-Id", "Experimental-Result-Code"] }),
  "Experimental-Result-Code": must(298, "Unsigned32"),
  "Failed-AVP": { code: 279, vendor: 0, mandatory: true, format: "AnyAvps" },
  "Firmware-Revision": may(267, "Unsigned32"),
  "Host-IP-Address": must(257, "Address"),
  "Inband-Security-Id": must(299, "Unsigned32"),
  "Multi-Round-Time-Out": must(272, "Unsigned32"),
  "Origin-Host": must(264, "DiameterIdentity"),
  "Origin-Realm": must(296, "DiameterIdentity"),
  "Origin-State-Id": must(278, "Unsigned32"),
  "Product-Name": may(269, "UTF8String"),
  // Goes back in the answer as it came: a proxy's own state (RFC 6733 6.7.2).
  "Proxy-Info": { code: 284, vendor: 0, mandatory: true, format: "OctetString" },
  "Re-Auth-Request-Type": must(285, "Enumerated"),
  "Result-Code": must(268, "Unsigned32"),
  "Route-Record": must(282, "DiameterIdentity"),
  "Session-Id": must(263, "UTF8String"),
  "Session-Timeout": must(27, "Unsigned32"),
  "Supported-Vendor-Id": must(265, "Unsigned32"),
  "Termination-Cause": must(295, "Enumerated"),
  "User-Name": must(1, "UTF8String"),
  "Vendor-Id": must(266, "Unsigned32"),
  "Vendor-Specific-Application-Id": group(260, 0, true, {
    required: ["Vendor-Id"],
    optional: ["Auth-Application-Id", "Acct-Application-Id"],
  }),
  // RFC 7155: network access.
  "Acct-Session-Time": must(46, "Unsigned32"),
  "Accounting-Input-Octets": must(363, "Unsigned64"),
  "Accounting-Input-Packets": must(365, "Unsigned64"),
  "Accounting-Output-Octets": must(364, "Unsigned64"),
  "Accounting-Output-Packets": must(366, "Unsigned64"),
  "Called-Station-Id": must(30, "UTF8String"),
  "Calling-Station-Id": must(31, "UTF8String"),
  "Filter-Id": must(11, "UTF8String"),
  "Framed-IP-Address": must(8, "OctetString"),
  "Framed-IPv6-Prefix": must(97, "OctetString"),
  "NAS-Filter-Rule": must(400, "IPFilterRule"),
  "NAS-IP-Address": must(4, "OctetString"),
  "NAS-IPv6-Address": must(95, "OctetString"),
  "NAS-Identifier": must(32, "UTF8String"),
  "NAS-Port-Type": must(61, "Enumerated"),
  "Reply-Message": must(18, "UTF8String"),
  "Service-Type": must(6, "Enumerated"),
  State: must(24, "OctetString"),
  // RFC 4072: EAP.
  "EAP-Payload": must(462, "OctetString"),
  "EAP-Reissued-Payload": must(463, "OctetString"),
  "EAP-Master-Session-Key": secret(must(464, "OctetString")),
  "Accounting-EAP-Auth-Method": must(465, "Unsigned64"),
  // RFC 5447, RFC 5778, RFC 5779: mobility.
  "MIP6-Feature-Vector": must(124, "Unsigned64"),
  "Mobile-Node-Identifier": must(506, "UTF8String"),
  "Service-Selection": must(493, "UTF8String"),
  // RFC 8506: subscription identities.
  "Subscription-Id": group(443, 0, true, { required: ["Subscription-Id-Type", "Subscription-Id-Data"] }),
  "Subscription-Id-Data": must(444, "UTF8String"),
  "Subscription-Id-Type": must(450, "Enumerated"),
  // TS 29.229 (Cx), as SWx uses it.
  "Confidentiality-Key": secret(must3gpp(625, "OctetString")),
  "Deregistration-Reason": group(615, VENDOR_3GPP, true, { required: ["Reason-Code"], optional: ["Reason-Info"] }),
  "Feature-List": may3gpp(630, "Unsigned32"),
  "Feature-List-ID": may3gpp(629, "Unsigned32"),
  "Integrity-Key": secret(must3gpp(626, "OctetString")),
  "Reason-Code": must3gpp(616, "Enumerated"),
  "Reason-Info": must3gpp(617, "UTF8String"),
  "SIP-Auth-Data-Item": group(612, VENDOR_3GPP, true, {
    optional: [
      "SIP-Item-Number",
      "SIP-Authentication-Scheme",
      "SIP-Authenticate",
      "SIP-Authorization",
      "Confidentiality-Key",
      "Integrity-Key",
    ],
  }),
  "SIP-Authenticate": must3gpp(609, "OctetString"),
  "SIP-Authentication-Scheme": must3gpp(608, "UTF8String"),
  // XRES in an answer, RAND and AUTS in a request (TS 29.273 8.2.3.10).
  "SIP-Authorization": secret(must3gpp(610, "OctetString")),
  "SIP-Item-Number": must3gpp(613, "Unsigned32"),
  "SIP-Number-Auth-Items": must3gpp(607, "Unsigned32"),
  "Server-Assignment-Type": must3gpp(614, "Enumerated"),
  "Supported-Features": group(628, VENDOR_3GPP, false, { required: ["Vendor-Id", "Feature-List-ID", "Feature-List"] }),
  "Visited-Network-Identifier": must3gpp(600, "OctetString"),
  // TS 29.234 6.
  "3GPP-AAA-Server-Name": must3gpp(318, "DiameterIdentity"),
  // TS 29.212, TS 29.272 7.3.
  "RAT-Type": may3gpp(1032, "Enumerated"),
  "APN-Configuration": group(1430, VENDOR_3GPP, true, {
    required: ["Context-Identifier", "Service-Selection", "PDN-Type"],
    optional: ["AMBR"],
    repeated: ["Served-Party-IP-Address"],
  }),
  AMBR: group(1435, VENDOR_3GPP, true, { required: ["Max-Requested-Bandwidth-UL", "Max-Requested-Bandwidth-DL"] }),
  "Context-Identifier": must3gpp(1423, "Unsigned32"),
  "Max-Requested-Bandwidth-DL": must3gpp(515, "Unsigned32"),
  "Max-Requested-Bandwidth-UL": must3gpp(516, "Unsigned32"),
  "PDN-Type": must3gpp(1456, "Enumerated"),
  "Served-Party-IP-Address": must3gpp(848, "Address"),
  "Terminal-Information": group(1401, VENDOR_3GPP, true, { optional: ["IMEI", "Software-Version"] }),
  IMEI: must3gpp(1402, "UTF8String"),
  "Software-Version": must3gpp(1403, "UTF8String"),
  // TS 29.273: SWm and SWx.
  "AAA-Failure-Indication": may3gpp(1518, "Unsigned32"),
  ANID: must3gpp(1504, "UTF8String"),
  "Emergency-Services": may3gpp(1538, "Unsigned32"),
  "Non-3GPP-IP-Access": must3gpp(1501, "Enumerated"),
  "Non-3GPP-IP-Access-APN": must3gpp(1502, "Enumerated"),
  "Non-3GPP-User-Data": group(1500, VENDOR_3GPP, true, {
    optional: [
      "Subscription-Id",
      "Non-3GPP-IP-Access",
      "Non-3GPP-IP-Access-APN",
      "AMBR",
      "MIP6-Feature-Vector",
      "Session-Timeout",
      // Ours, there only where a subscriber has one: the group takes any AVP.
      "Filter-Id",
    ],
    repeated: ["APN-Configuration"],
  }),
  "UE-Local-IP-Address": may3gpp(2805, "Address"),
} as const satisfies Record<string, AvpDefinition>;

export type AvpName = keyof typeof AVPS;

/** Name of an AVP by its number; undefined for one that is not in the dictionary. */
export function avpName(code: number, vendor: number): AvpName | undefined {
  return BY_NUMBER.get(numberOf(code, vendor));
}

function numberOf(code: number, vendor: number): number {
  // 32 bits each; vendors seen in practice leave this exact.
  return vendor * 2 ** 32 + code;
}

const BY_NUMBER = new Map(
  (Object.keys(AVPS) as AvpName[]).map((name) => [numberOf(AVPS[name].code, AVPS[name].vendor), name]),
);
