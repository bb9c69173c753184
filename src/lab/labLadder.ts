/** From the roles' records to the rungs and verdicts of the ladder, told from where the gateway stands. */
import type { LadderEntry } from "../observe/ladder.ts";
import { GATEWAY_NAME, type LabDevice } from "./ecosystem.ts";
import type { Places } from "./places.ts";
import type { Report } from "./report.ts";
import type { RoleRecord } from "./roleProcess.ts";
import { AAA_NAME, HSS_NAME } from "./subscribers.ts";

export class LabLadder {
  readonly #report: Report;
  readonly #byOuterAddress = new Map<string, string>();
  /** Devices of a loopback lab, which share an address, by the SPI of their IKE SA. */
  readonly #bySpi = new Map<string, string>();

  constructor(places: Places, devices: readonly LabDevice[], report: Report) {
    this.#report = report;
    if (places.kind === "loopback") return;
    for (const device of devices) this.#byOuterAddress.set(places.device(device.index).address, device.fqdn);
  }

  /** Takes a record of the role called `name`. */
  record(name: string, record: RoleRecord): void {
    const entry = this.#entryOf(name, record);
    if (entry !== undefined) this.#report.ladder(entry);
  }

  #entryOf(name: string, record: RoleRecord): LadderEntry | undefined {
    if (record.event === "diameterMessage") return diameterRung(name, record);
    if (name === GATEWAY_NAME) return this.#ofGateway(record);
    return name === AAA_NAME || name === HSS_NAME ? undefined : this.#ofDevice(name, record);
  }

  pinged(device: LabDevice, ping: { target: string; sent: number; received: number }, at: number): void {
    const verdict = ping.received === ping.sent ? "good" : "bad";
    this.#report.ladder({
      kind: "note",
      at,
      who: device.fqdn,
      verdict,
      text: `ping ${ping.target} through the tunnel: ${ping.received} of ${ping.sent} came back`,
      details: [],
    });
  }

  #ofGateway(record: RoleRecord): LadderEntry | undefined {
    const at = record.at ?? 0;
    switch (record.event) {
      case "message": {
        const peer = this.#deviceOf(record);
        const sent = record.direction === "sent";
        return {
          kind: "message",
          at,
          from: sent ? GATEWAY_NAME : peer,
          to: sent ? peer : GATEWAY_NAME,
          protocol: "IKEv2",
          title: `${record.exchange} ${record.response === true ? "response" : "request"} ${record.messageId}`,
          details: record.payloads as string[],
          octets: record.bytes as number,
          datagrams: record.fragments as number,
        };
      }
      case "established":
        return {
          kind: "note",
          at,
          who: GATEWAY_NAME,
          verdict: "good",
          text: `${record.peer} is authentic; its certificate: ${record.ocsp}`,
          details: record.path as string[],
        };
      case "granted":
        return {
          kind: "note",
          at,
          who: GATEWAY_NAME,
          verdict: "neutral",
          text: String(record.text),
          details: [],
        };
      case "failed":
        return {
          kind: "note",
          at,
          who: GATEWAY_NAME,
          verdict: "bad",
          text: `${record.peer ?? record.remote} refused, ${record.reason}`,
          details: [String(record.message)],
        };
      case "closed":
        return {
          kind: "note",
          at,
          who: GATEWAY_NAME,
          verdict: "neutral",
          text: `IKE SA of ${record.peer ?? "a device"} ended: ${record.cause}`,
          details: [],
        };
      case "ikeRekeyed":
        return {
          kind: "note",
          at,
          who: GATEWAY_NAME,
          verdict: "neutral",
          text: `IKE SA of ${record.peer} rekeyed`,
          details: [],
        };
      case "fault":
        return { kind: "note", at, who: GATEWAY_NAME, verdict: "doubtful", text: String(record.text), details: [] };
      default:
        return undefined;
    }
  }

  #ofDevice(name: string, record: RoleRecord): LadderEntry | undefined {
    const at = record.at ?? 0;
    switch (record.event) {
      case "established":
        return {
          kind: "note",
          at,
          who: name,
          verdict: "good",
          text: `${record.peer} is authentic; its certificate: ${record.ocsp}`,
          details: record.path as string[],
        };
      case "failed":
        return {
          kind: "note",
          at,
          who: name,
          verdict: "bad",
          text: `not attached, ${record.reason}`,
          details: [String(record.message)],
        };
      case "integrityFailed":
        return {
          kind: "note",
          at,
          who: name,
          verdict: "bad",
          text: "integrity check failed; nothing is sent",
          details: record.problems as string[],
        };
      case "managed":
        return {
          kind: "note",
          at,
          who: name,
          verdict: "good",
          text: `the H(e)MS is authentic; its certificate: ${record.ocsp}`,
          details: [String(record.tls)],
        };
      case "managementFailed":
        return {
          kind: "note",
          at,
          who: name,
          verdict: "bad",
          text: `no session with the H(e)MS, ${record.reason}`,
          details: [String(record.text)],
        };
      case "attached":
        return {
          kind: "note",
          at,
          who: name,
          verdict: "good",
          text: `attached, inner address ${(record.addresses as string[]).join(" and ")}`,
          details: [],
        };
      default:
        return undefined;
    }
  }

  /** On loopback devices share an address; what tells them apart there is the IDi, once one was seen under that SPI. */
  #deviceOf(record: RoleRecord): string {
    const known = this.#byOuterAddress.get(String(record.remote).replace(/:\d+$/, ""));
    if (known !== undefined) return known;
    const spi = String(record.initiatorSpi);
    const identity = (record.payloads as string[])
      .map((payload) => /^IDi\((.+)\)$/.exec(payload)?.[1])
      .find((text) => text !== undefined);
    if (identity !== undefined) this.#bySpi.set(spi, identity);
    return this.#bySpi.get(spi) ?? "H(e)NB";
  }
}

/** Each pair of servers is told by the one nearer to the devices; what keeps the connection alive is left out. */
function diameterRung(name: string, record: RoleRecord): LadderEntry | undefined {
  if (record.application === COMMON || (name === AAA_NAME && record.peer === GATEWAY_NAME)) return undefined;
  const sent = record.direction === "sent";
  const peer = String(record.peer);
  return {
    kind: "message",
    at: record.at ?? 0,
    from: sent ? name : peer,
    to: sent ? peer : name,
    protocol: "Diameter",
    title: String(record.command),
    details: record.avps as string[],
    octets: record.bytes as number,
  };
}

/** Diameter's common messages: capabilities, watchdog, goodbye (RFC 6733 11.1). */
const COMMON = 0;
