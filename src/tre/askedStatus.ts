/**
 * The status of a path's certificates by responders that the device asks itself (TS 33.320 7.2.2-5): the TrE makes the
 * request and judges the response (7.2.2-11), the core brings one and fetches the other.
 *
 * A question is about a path that the TrE has found valid, named by a number; a response is judged against the nonce of
 * the request made last for that certificate, once.
 */
import type { Bytes } from "../bytes/bytes.ts";
import type { Random } from "../sim/environment.ts";
import { checkOcspResponse, describeOcspProblem } from "../trust/ocsp.ts";
import type { Certificate } from "../x509/certificate.ts";
import { buildOcspRequest, type CertId, certIdOf } from "../x509/ocsp.ts";
import { refusalBy, runsOut } from "./inBandStatus.ts";
import type { VerifierPolicy } from "./peerVerifier.ts";
import type { StatusRequest, StatusVerdict, VerifiedPathId } from "./trustedEnvironment.ts";

/** How requests are made. */
export interface AskingPolicy {
  /** `optional`: sent, and a response without one is accepted; `required`: it is not (RFC 9654). */
  nonce: "off" | "optional" | "required";
  /** What certificates are named by; RFC 5019 responders know SHA-1 only. */
  hash: CertId["hash"];
}

/** The core asked for what was never verified, or too long ago, or judged a response without a request. */
export class StatusQuestionError extends Error {
  override readonly name = "StatusQuestionError";
}

type JudgingPolicy = Pick<
  VerifierPolicy,
  | "clock"
  | "ocspTolerance"
  | "ocspMaxAge"
  | "ocspDelegates"
  | "trustedResponders"
  | "allowWeakAlgorithms"
  | "signatureCache"
>;

export class AskedStatus {
  readonly #policy: JudgingPolicy;
  readonly #asking: AskingPolicy;
  readonly #random: Random;
  /** The paths verified last, oldest first. */
  readonly #paths = new Map<VerifiedPathId, VerifiedPath>();
  #next = 1;

  constructor(policy: JudgingPolicy, asking: AskingPolicy, random: Random) {
    this.#policy = policy;
    this.#asking = asking;
    this.#random = random;
  }

  /** Remembers a valid path, end entity first and root last, so that its status can be asked for. */
  keep(certificates: readonly Certificate[]): VerifiedPathId {
    const id = this.#next++ as VerifiedPathId;
    this.#paths.set(id, { certificates, open: new Map() });
    if (this.#paths.size > MAX_PATHS) this.#paths.delete(this.#paths.keys().next().value!);
    return id;
  }

  /** A request about the `at`th certificate of the path. Throws StatusQuestionError. */
  request(id: VerifiedPathId, at: number): StatusRequest {
    const { certificate, issuer, open } = this.#find(id, at);
    const { nonce: use, hash } = this.#asking;
    const nonce = use === "off" ? undefined : this.#random.bytes(NONCE_LENGTH);
    open.set(at, { nonce });
    return {
      subject: certificate.subject.toString(),
      request: buildOcspRequest([certIdOf(certificate, issuer, hash)], nonce),
      withNonce: nonce !== undefined,
      named: certificate.extensions.ocspUrls,
    };
  }

  /** The verdict on what a responder answered to the last request about that certificate. Throws StatusQuestionError. */
  judge(id: VerifiedPathId, at: number, response: Bytes): StatusVerdict {
    const { certificate, issuer, open } = this.#find(id, at);
    const asked = open.get(at);
    if (asked === undefined) throw new StatusQuestionError(`no request about certificate ${at} is open`);
    open.delete(at);
    const { clock, ocspTolerance, ocspMaxAge, ocspDelegates, signatureCache } = this.#policy;
    const { trustedResponders, allowWeakAlgorithms } = this.#policy;
    const verdict = checkOcspResponse({
      response,
      certificate,
      issuer,
      time: clock.now(),
      tolerance: ocspTolerance,
      maxAge: ocspMaxAge,
      trustedResponders,
      allowWeakAlgorithms,
      delegates: ocspDelegates,
      nonceRequired: this.#asking.nonce === "required",
      ...(asked.nonce === undefined ? {} : { nonce: asked.nonce }),
      ...(signatureCache === undefined ? {} : { signatureCache }),
    });
    if (verdict.status === "invalid") return { status: "invalid", problem: describeOcspProblem(verdict.problem) };
    if (verdict.status !== "good") return { status: verdict.status, refusal: refusalBy(certificate, verdict, "") };
    return { status: "good", responder: verdict.evidence.responder, goodUntil: runsOut(verdict, ocspMaxAge) };
  }

  #find(id: VerifiedPathId, at: number) {
    const path = this.#paths.get(id);
    const [certificate, issuer] = path?.certificates.slice(at, at + 2) ?? [];
    if (path === undefined || certificate === undefined || issuer === undefined)
      throw new StatusQuestionError(`certificate ${at} of path ${id} is not at hand: verifyPeer comes first`);
    return { certificate, issuer, open: path.open };
  }
}

interface VerifiedPath {
  certificates: readonly Certificate[];
  /** Requests made and not yet judged, by the certificate's place in the path. */
  open: Map<number, { nonce: Bytes | undefined }>;
}

/** A device has one gateway at a time, and tries the next only when that one is gone. */
const MAX_PATHS = 4;
/** Octets (RFC 9654 2.1). */
const NONCE_LENGTH = 32;
