/** One short text a payload, for ladders and logs; no secrets, and nothing of a peer's text unescaped. */
import { formatIp } from "../../bytes/ip.ts";
import { describeEap } from "../../eap/describe.ts";
import type { TrafficSelector } from "../../esp/selector.ts";
import { AuthMethod } from "../../tre/authSignature.ts";
import { IdType } from "../../tre/identity.ts";
import type { Payload, Proposal, Transform } from "./message.ts";
import { CertEncoding, CfgType, Encr, Group, Integ, NotifyType, Prf, TransformType } from "./numbers.ts";

export function describePayload(payload: Payload): string {
  switch (payload.kind) {
    case "SA":
      return `SA(${payload.proposals.map(describeProposal).join(" | ")})`;
    case "KE":
      return `KE(${nameOf(Group, payload.group)})`;
    case "IDi":
    case "IDr":
      return `${payload.kind}(${identity(payload.idType, payload.data)})`;
    case "CERT":
      return payload.encoding === CertEncoding.OCSP_CONTENT
        ? `CERT(OCSP response, ${payload.data.length} octets)`
        : `CERT(${payload.encoding === CertEncoding.X509_SIGNATURE ? "X.509" : `encoding ${payload.encoding}`}, ${payload.data.length} octets)`;
    case "CERTREQ":
      return payload.encoding === CertEncoding.OCSP_CONTENT
        ? "CERTREQ(OCSP)"
        : `CERTREQ(${Math.floor(payload.data.length / 20)} CAs)`;
    case "AUTH":
      return `AUTH(${nameOf(AuthMethod, payload.method)})`;
    case "N":
      return `N(${nameOf(NotifyType, payload.type)})`;
    case "D":
      return payload.protocol === 1
        ? "D(IKE SA)"
        : `D(ESP ${payload.spis.map((spi) => spi.toString("hex")).join(" ")})`;
    case "TSi":
    case "TSr":
      return `${payload.kind}(${payload.selectors.map(selector).join(", ")})`;
    case "CP":
      return `CP(${nameOf(CfgType, payload.cfgType)}${payload.attributes.map(({ type, value }) => ` ${attribute(type, value)}`).join("")})`;
    case "EAP":
      return `EAP(${describeEap(payload.data)})`;
    case "V":
      return "V";
    case "unknown":
      return `payload ${payload.type}${payload.critical ? " critical" : ""}`;
    default:
      return payload.kind;
  }
}

function describeProposal(proposal: Proposal): string {
  return proposal.transforms.map(describeTransform).join("/");
}

function describeTransform({ type, id, keyLength }: Transform): string {
  const suffix = keyLength === undefined ? "" : `_${keyLength}`;
  switch (type) {
    case TransformType.ENCR:
      return `${nameOf(Encr, id)}${suffix}`;
    case TransformType.PRF:
      return `PRF_${nameOf(Prf, id)}`;
    case TransformType.INTEG:
      return nameOf(Integ, id);
    case TransformType.DH:
      return nameOf(Group, id);
    case TransformType.ESN:
      return id === 1 ? "ESN" : "NO_ESN";
    default:
      return `transform ${type}:${id}`;
  }
}

function selector(ts: TrafficSelector): string {
  const start = formatIp(ts.startAddress);
  const end = formatIp(ts.endAddress);
  const ports = ts.startPort === 0 && ts.endPort === 0xffff ? "" : `:${ts.startPort}-${ts.endPort}`;
  return `${start === end ? start : `${start}-${end}`}${ts.protocol === 0 ? "" : `/proto ${ts.protocol}`}${ports}`;
}

function attribute(type: number, value: Buffer): string {
  const name = CFG_NAMES.get(type) ?? `attribute ${type}`;
  if (value.length === 4 || value.length === 16) return `${name}=${formatIp(value)}`;
  if (value.length === 17) return `${name}=${formatIp(value.subarray(0, 16))}/${value[16]}`;
  return name;
}

function identity(idType: number, data: Buffer): string {
  if (idType === IdType.FQDN || idType === IdType.RFC822_ADDR)
    return data
      .subarray(0, 100)
      .toString("latin1")
      .replace(/[^\x20-\x7e]/g, "?");
  if (data.length === 4 || data.length === 16) return formatIp(data);
  return `type ${idType}`;
}

function nameOf(table: Record<string, number>, value: number): string {
  for (const [name, number] of Object.entries(table)) if (number === value) return name;
  return String(value);
}

const CFG_NAMES = new Map([
  [1, "IP4"],
  [2, "NETMASK"],
  [3, "DNS"],
  [8, "IP6"],
  [10, "DNS6"],
]);
