/** An OCSP responder in virtual time, signed by a delegate of its CA, every answer open to be spoilt. */
import type { Bytes } from "../../src/bytes/bytes.ts";
import type { OcspFetched, OcspMethod, OcspTransport, Way } from "../../src/revocation/ocspTransport.ts";
import type { Reach } from "../../src/revocation/reach.ts";
import { extendedKeyUsage, keyUsage, ocspNoCheck } from "../../src/x509/build.ts";
import {
  buildOcspResponse,
  type CertStatus,
  type NewOcspResponse,
  parseOcspRequest,
  type SingleResponse,
} from "../../src/x509/ocsp.ts";
import { Oid } from "../../src/x509/oids.ts";
import { type Made, type Making, make } from "../x509/made.ts";
import type { VirtualTime } from "./virtualTime.ts";

export function makeDelegate(ca: Made, making: Making = {}): Made {
  const extensions = [keyUsage("digitalSignature"), extendedKeyUsage(Oid.ocspSigning), ocspNoCheck()];
  return make({ name: "OCSP signer", issuer: ca, extensions, ...making });
}

export class SimulatedResponder implements OcspTransport {
  readonly #time: VirtualTime;
  readonly #delegate: Made;
  /** By serial number in hexadecimal; others are good. */
  readonly statuses = new Map<string, CertStatus>();
  readonly asked: { url: string; method: OcspMethod; nonce: Bytes | undefined; serial: string; reach?: Reach }[] = [];
  /** What each address does instead of answering. */
  readonly troubles = new Map<string, OcspFetched>();
  delayMs = 50;
  over: Partial<NewOcspResponse> = {};
  single: Partial<SingleResponse> = {};
  echoNonce = true;
  lifeMs: number | undefined = 12 * 3600_000;

  constructor(time: VirtualTime, delegate: Made) {
    this.#time = time;
    this.#delegate = delegate;
  }

  async ask(url: string, request: Bytes, method: OcspMethod, { reach }: Way = {}): Promise<OcspFetched> {
    const { ids, nonce } = parseOcspRequest(request);
    const [id] = ids;
    const serial = id!.serial.toString("hex");
    this.asked.push({ url, method, nonce, serial, ...(reach === undefined ? {} : { reach }) });
    await this.#time.delay(this.delayMs);
    const trouble = this.troubles.get(url);
    if (trouble !== undefined) return trouble;
    const now = this.#time.world.now();
    const der = buildOcspResponse({
      responderId: { byName: this.#delegate.certificate.subject },
      producedAt: now,
      responses: [
        {
          id: id!,
          status: this.statuses.get(serial) ?? { kind: "good" },
          thisUpdate: now,
          nextUpdate: this.lifeMs === undefined ? undefined : now + this.lifeMs,
          ...this.single,
        },
      ],
      nonce: this.echoNonce ? nonce : undefined,
      certificates: [this.#delegate.certificate.der],
      signer: this.#delegate.signer,
      ...this.over,
    });
    return { ok: true, der };
  }
}
