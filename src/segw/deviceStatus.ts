/**
 * The revocation status of a device's certificate, asked of an OCSP responder (TS 33.320 7.2.2-7, 7.2.4-4): the
 * operator's, or the one that the certificate names where the operator allows that (7.2.2-8).
 */
import type { Bytes } from "../bytes/bytes.ts";
import type { Clock, Milliseconds } from "../sim/environment.ts";
import type { PeerRefusal } from "../tre/trustedEnvironment.ts";
import { checkOcspResponse, describeOcspProblem } from "../trust/ocsp.ts";
import type { Certificate } from "../x509/certificate.ts";
import { buildOcspRequest, certIdOf } from "../x509/ocsp.ts";

export interface DeviceStatusOptions {
  /** Responders to ask in turn until one answers. */
  urls: readonly string[];
  /** Asks the responder named in the certificate if none of `urls` answered. */
  useCertificatesOwn: boolean;
  /** What happens where no responder gives a valid answer. */
  onNoAnswer: "refuse" | "accept";
  tolerance: Milliseconds;
  maxAge: Milliseconds;
  allowWeakAlgorithms: boolean;
  clock: Clock;
  fetch(url: string, request: Bytes): Promise<Bytes>;
}

/** The status of the path's end entity in words ("OCSP good"), or why the device is refused. */
export async function checkDeviceStatus(
  path: readonly Certificate[],
  options: DeviceStatusOptions,
): Promise<string | PeerRefusal> {
  const [certificate, issuer] = path;
  if (certificate === undefined || issuer === undefined) return "not checked";
  const own = options.useCertificatesOwn ? certificate.extensions.ocspUrls : [];
  const tried: { url: string; problem: string }[] = [];
  for (const url of [...options.urls, ...own].slice(0, MAX_RESPONDERS)) {
    const verdict = await ask(url, certificate, issuer, options);
    if (typeof verdict !== "string") return verdict;
    if (verdict === GOOD) return verdict;
    tried.push({ url, problem: verdict });
  }
  if (options.onNoAnswer === "accept") return "OCSP unavailable";
  return {
    reason: "NoValidOcspResponse",
    message: `no responder gave a valid answer about "${certificate.subject}": ${tried.map(({ problem }) => problem).join("; ") || "none is configured"}`,
    evidence: { certificate: certificate.subject.toString(), tried },
  };
}

/** "OCSP good", a refusal, or what went wrong with this responder. */
async function ask(
  url: string,
  certificate: Certificate,
  issuer: Certificate,
  options: DeviceStatusOptions,
): Promise<string | PeerRefusal> {
  let response: Bytes;
  try {
    response = await options.fetch(url, buildOcspRequest([certIdOf(certificate, issuer)], undefined));
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  const { tolerance, maxAge, allowWeakAlgorithms } = options;
  const time = options.clock.now();
  const verdict = checkOcspResponse({
    response,
    certificate,
    issuer,
    time,
    tolerance,
    maxAge,
    trustedResponders: [],
    allowWeakAlgorithms,
  });
  const name = certificate.subject.toString();
  switch (verdict.status) {
    case "good":
      return GOOD;
    case "revoked":
      return {
        reason: "CertificateRevoked",
        message: `"${name}" was revoked at ${new Date(verdict.at).toISOString()}, says ${url}`,
        evidence: { certificate: name, url, ...verdict },
      };
    case "unknown":
      return {
        reason: "CertificateUnknown",
        message: `${url} does not know "${name}"`,
        evidence: { certificate: name, url, ...verdict },
      };
    case "invalid":
      return `${url}: ${describeOcspProblem(verdict.problem)}`;
  }
}

const GOOD = "OCSP good";
/** Responders asked about one certificate. */
const MAX_RESPONDERS = 4;
