/** One short line a message, for ladders and logs: no secrets, and nothing of a peer's text unescaped. */
import type { Bytes } from "../../bytes/bytes.ts";
import { formatIp } from "../../bytes/ip.ts";
import type { Avp } from "./avp.ts";
import { COMMANDS } from "./commands.ts";
import { AVPS, type AvpDefinition, avpName } from "./dictionary.ts";
import type { DiameterMessage } from "./message.ts";
import { ResultCode } from "./numbers.ts";
import { FORMATS } from "./values.ts";

/** "DER" or "DEA"; a number for a command that is not known. */
export function describeCommand({ header }: DiameterMessage): string {
  const definition = COMMANDS.get(header.command);
  if (definition === undefined) return `${header.request ? "request" : "answer"} ${header.command}`;
  return header.request ? definition.requestName : definition.answerName;
}

/** One short text an AVP, those that only route left out; `eap` tells what an EAP packet is. */
export function describeAvps({ avps }: DiameterMessage, eap?: (packet: Bytes) => string): string[] {
  return avps.filter((avp) => !ROUTING.has(avp.code) || avp.vendor !== 0).map((avp) => describeAvp(avp, eap));
}

function describeAvp(avp: Avp, eap: ((packet: Bytes) => string) | undefined): string {
  const name = avpName(avp.code, avp.vendor);
  if (name === "EAP-Payload" && eap !== undefined) return `${name}(${avp.data.length === 0 ? "empty" : eap(avp.data)})`;
  if (name === undefined) return `AVP ${avp.vendor === 0 ? "" : `${avp.vendor}:`}${avp.code}`;
  const definition: AvpDefinition = AVPS[name];
  if (definition.format === "Grouped" || definition.format === "AnyAvps") return name;
  if (definition.format === "OctetString" || definition.secret === true)
    return ADDRESSES.has(name) && avp.data.length === 4
      ? `${name}=${formatIp(avp.data)}`
      : `${name}(${avp.data.length} octets)`;
  const format = FORMATS[definition.format];
  if (avp.data.length < format.least || (format.exactly ?? avp.data.length) !== avp.data.length)
    return `${name}(malformed)`;
  const value = format.decode(avp.data);
  if (value === undefined) return `${name}(malformed)`;
  if (name === "Result-Code") return RESULT_NAMES.get(Number(value)) ?? `Result-Code=${value}`;
  return `${name}=${String(value)
    .slice(0, MAX_TEXT)
    .replaceAll(/[^\x20-\x7e]/g, "?")}`;
}

const RESULT_NAMES = new Map<number, string>(Object.entries(ResultCode).map(([name, code]) => [code, name]));
const ROUTING = new Set<number>(
  (["Origin-Host", "Origin-Realm", "Destination-Host", "Destination-Realm", "Route-Record", "Proxy-Info"] as const).map(
    (name) => AVPS[name].code,
  ),
);
const ADDRESSES = new Set(["Framed-IP-Address", "NAS-IP-Address"]);
const MAX_TEXT = 80;
