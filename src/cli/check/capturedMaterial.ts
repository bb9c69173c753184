/**
 * Certificates and OCSP responses in a capture: CERT payloads of IKEv2, decrypted by the keys beside the capture, and
 * Certificate messages of TLS up to 1.2 (in TLS 1.3 they are encrypted).
 */
import { createSecretKey } from "node:crypto";
import { type Bytes, copyOf, EMPTY } from "../../bytes/bytes.ts";
import { DecodeError } from "../../bytes/reader.ts";
import { receivedCertificates } from "../../ike/auth/certificatePayloads.ts";
import { decodeMessage, decodePayloads } from "../../ike/codec/decode.ts";
import type { IkeHeader, Payload } from "../../ike/codec/message.ts";
import { Encr } from "../../ike/codec/numbers.ts";
import { Reassembly } from "../../ike/crypto/fragments.ts";
import type { DirectionKeys, IkeKeys } from "../../ike/crypto/kdf.ts";
import { openEncrypted } from "../../ike/crypto/protect.ts";
import type { IkeSuite } from "../../ike/crypto/suite.ts";
import { readCapture } from "../../observe/captureReader.ts";
import type { ExportedIkeKeys } from "../../observe/ikeDecryptionTable.ts";
import { type TransportPacket, transportPacket } from "../../observe/transportPacket.ts";
import type { CertificateProfile } from "../../trust/profiles/rule.ts";
import { TlsCertificates } from "./tlsCertificates.ts";

/** One party's certificates as it sent them, end entity first. */
export interface Presented {
  /** "IKE_AUTH of 192.0.2.1 port 500". */
  from: string;
  certificates: Bytes[];
  ocspResponses: Bytes[];
  suggests: CertificateProfile;
}

export interface CapturedMaterial {
  presented: Presented[];
  /** What a person should know: keys missing, packets damaged. */
  problems: string[];
}

/** Everything that is presented in a capture; throws DecodeError for a file that is no capture. */
export function readCapturedMaterial(capture: Bytes, keys: readonly ExportedIkeKeys[]): CapturedMaterial {
  const reader = new IkeReader(keys);
  const tls = new TlsCertificates();
  const presented: Presented[] = [];
  for (const captured of readCapture(capture)) {
    const packet = transportPacket(captured);
    if (packet === undefined) continue;
    const found = packet.protocol === "udp" ? reader.datagram(packet) : tls.segment(packet);
    if (found !== undefined && !presented.some((other) => same(other, found))) presented.push(found);
    if (presented.length > MAX_PRESENTED) break;
  }
  return { presented, problems: [...reader.problems(), ...tls.problems()] };
}

interface OpenKeys {
  suite: IkeSuite;
  keys: IkeKeys;
}

class IkeReader {
  readonly #keys = new Map<string, OpenKeys>();
  readonly #reassemblies = new Map<string, Reassembly>();
  #withoutKeys = 0;
  #damaged = 0;

  constructor(keys: readonly ExportedIkeKeys[]) {
    for (const exported of keys) {
      const opened = openKeys(exported);
      if (opened !== undefined) this.#keys.set(`${exported.initiatorSpi} ${exported.responderSpi}`, opened);
    }
  }

  datagram({ from, to, payload }: TransportPacket): Presented | undefined {
    const ike = ikeIn(payload, [from.port, to.port]);
    if (ike === undefined) return undefined;
    try {
      const message = this.#open(ike, `${from.address} ${from.port}`);
      if (message === undefined) return undefined;
      const received = receivedCertificates(message.payloads);
      if (received.certificates.length + received.ocspResponses.length === 0) return undefined;
      const exchange =
        message.header.exchangeType === IKE_AUTH ? "IKE_AUTH" : `exchange ${message.header.exchangeType}`;
      const suggests = message.header.fromInitiator ? "henb-ikev2" : "segw";
      return { from: `${exchange} of ${from.address} port ${from.port}`, suggests, ...received };
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.#damaged += 1;
      return undefined;
    }
  }

  problems(): string[] {
    return [
      ...(this.#withoutKeys === 0
        ? []
        : [
            `${this.#withoutKeys} encrypted IKE messages without their keys; capture with --capture-keys to see into them`,
          ]),
      ...(this.#damaged === 0 ? [] : [`${this.#damaged} damaged IKE messages`]),
    ];
  }

  #open(packet: Bytes, sender: string): { header: IkeHeader; payloads: Payload[] } | undefined {
    const decoded = decodeMessage(packet);
    const { header, encrypted, payloads } = decoded;
    if (encrypted === undefined) return { header, payloads };
    const opened = this.#keys.get(`${header.initiatorSpi} ${header.responderSpi}`);
    if (opened === undefined) {
      this.#withoutKeys += 1;
      return undefined;
    }
    const { suite, keys } = opened;
    const inner = openEncrypted(packet, decoded, suite, keys, header.fromInitiator ? "initiator" : "responder");
    if (encrypted.kind === "SK") return { header, payloads: decodePayloads(inner.firstInner, inner.plaintext) };
    const key = `${sender} ${header.initiatorSpi} ${header.response ? "r" : "q"}${header.messageId}`;
    if (!this.#reassemblies.has(key) && this.#reassemblies.size >= MAX_REASSEMBLIES) return undefined;
    const reassembly = this.#reassemblies.get(key) ?? new Reassembly(key);
    this.#reassemblies.set(key, reassembly);
    const whole = reassembly.add(
      encrypted.fragmentNumber,
      encrypted.totalFragments,
      inner.firstInner,
      copyOf(inner.plaintext),
    );
    if (whole === undefined) return undefined;
    this.#reassemblies.delete(key);
    return { header, payloads: decodePayloads(whole.firstInner, whole.bytes) };
  }
}

/** Keys as the endpoint that had them used them, or undefined where their lengths are not those of the algorithms. */
function openKeys({ suite, keys }: ExportedIkeKeys): OpenKeys | undefined {
  const { id, keyLength } = suite.encr;
  const salt = id === Encr.AES_GCM_16 ? 4 : 0;
  const length = id === Encr.DES3 ? 24 : keyLength / 8 + salt;
  if (id === Encr.NULL || keys.ei.length !== length || keys.er.length !== length) return undefined;
  const direction = (encr: Bytes, integ: Bytes): DirectionKeys => ({
    encr: createSecretKey(encr.subarray(0, length - salt)),
    salt: encr.subarray(length - salt),
    integ: suite.integ === 0 ? undefined : createSecretKey(integ),
  });
  const prepared = { initiator: direction(keys.ei, keys.ai), responder: direction(keys.er, keys.ar) };
  // What protects nothing here is not in the table: SK_d, SK_pi, SK_pr, the PRF and the group.
  return { suite: { ...suite, prf: 0, group: 0 }, keys: { ...keys, d: EMPTY, pi: EMPTY, pr: EMPTY, prepared } };
}

/** An IKE message of version 2 on one of its ports, without the non-ESP marker; the marker is all that tells it from ESP. */
function ikeIn(payload: Bytes, ports: readonly number[]): Bytes | undefined {
  const marked = payload.length >= 4 && payload.readUInt32BE(0) === 0;
  const message = marked ? payload.subarray(4) : payload;
  if (!marked && !ports.includes(500)) return undefined;
  return message.length >= 28 && message[17]! >> 4 === 2 && message.readUInt32BE(24) === message.length
    ? message
    : undefined;
}

function same(a: Presented, b: Presented): boolean {
  const equal = (x: readonly Bytes[], y: readonly Bytes[]) =>
    x.length === y.length && x.every((der, index) => der.equals(y[index]!));
  return a.from === b.from && equal(a.certificates, b.certificates) && equal(a.ocspResponses, b.ocspResponses);
}

const IKE_AUTH = 35;
/** Parties whose certificates are shown. */
const MAX_PRESENTED = 1000;
/** Messages that may be incomplete at a time. */
const MAX_REASSEMBLIES = 1000;
