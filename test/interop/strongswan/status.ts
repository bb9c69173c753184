/** What charon says about its SAs (VICI's list-sas), in the types the tests compare. */
import type { ViciMessage } from "./vici.ts";

export interface ChildSaStatus {
  name: string;
  uniqueId: string;
  state: string;
  /** ESP travels in UDP. */
  encapsulated: boolean;
  /** SPIs in hexadecimal, eight digits. */
  spiIn: string;
  spiOut: string;
  encryption: string;
  /** Bits. */
  keyLength: number;
  /** Empty with AES-GCM. */
  integrity: string;
  /** Group of a CREATE_CHILD_SA exchange; empty without perfect forward secrecy. */
  group: string;
  bytesIn: number;
  bytesOut: number;
  packetsIn: number;
  packetsOut: number;
  localSelectors: string[];
  remoteSelectors: string[];
}

export interface IkeSaStatus {
  connection: string;
  uniqueId: string;
  state: string;
  initiator: boolean;
  localId: string;
  remoteId: string;
  localHost: string;
  remoteHost: string;
  localPort: number;
  remotePort: number;
  encryption: string;
  keyLength: number;
  integrity: string;
  prf: string;
  group: string;
  initiatorSpi: string;
  responderSpi: string;
  /** Addresses got by configuration payload, or given to the peer by it. */
  localVirtualIps: string[];
  remoteVirtualIps: string[];
  children: ChildSaStatus[];
}

/** One list-sa event: a section named after the connection. */
export function readIkeSa(message: ViciMessage): IkeSaStatus {
  const [[connection, section]] = Object.entries(message) as [[string, ViciMessage]];
  const { text, list, number } = fields(section);
  const children = (section["child-sas"] ?? {}) as ViciMessage;
  return {
    connection,
    uniqueId: text("uniqueid"),
    state: text("state"),
    initiator: text("initiator") === "yes",
    localId: text("local-id"),
    remoteId: text("remote-id"),
    localHost: text("local-host"),
    remoteHost: text("remote-host"),
    localPort: number("local-port"),
    remotePort: number("remote-port"),
    encryption: text("encr-alg"),
    keyLength: number("encr-keysize"),
    integrity: text("integ-alg"),
    prf: text("prf-alg"),
    group: text("dh-group"),
    initiatorSpi: text("initiator-spi"),
    responderSpi: text("responder-spi"),
    localVirtualIps: list("local-vips"),
    remoteVirtualIps: list("remote-vips"),
    children: Object.values(children).map((child) => readChildSa(child as ViciMessage)),
  };
}

function readChildSa(section: ViciMessage): ChildSaStatus {
  const { text, list, number } = fields(section);
  return {
    name: text("name"),
    uniqueId: text("uniqueid"),
    state: text("state"),
    encapsulated: text("encap") === "yes",
    spiIn: text("spi-in"),
    spiOut: text("spi-out"),
    encryption: text("encr-alg"),
    keyLength: number("encr-keysize"),
    integrity: text("integ-alg"),
    group: text("dh-group"),
    bytesIn: number("bytes-in"),
    bytesOut: number("bytes-out"),
    packetsIn: number("packets-in"),
    packetsOut: number("packets-out"),
    localSelectors: list("local-ts"),
    remoteSelectors: list("remote-ts"),
  };
}

function fields(section: ViciMessage) {
  const text = (name: string): string => {
    const value = section[name];
    return typeof value === "string" ? value : "";
  };
  const list = (name: string): string[] => {
    const value = section[name];
    return Array.isArray(value) ? value : [];
  };
  return { text, list, number: (name: string): number => Number(text(name)) };
}
