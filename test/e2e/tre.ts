/** A device's TrE in parts, for tests that lie in one of them. */
import type { TrustedEnvironment } from "../../src/tre/trustedEnvironment.ts";

/** The TrE's calls as members of an object, so that a test can put others in their places. */
export function bound(tre: TrustedEnvironment): TrustedEnvironment {
  return {
    verifyIntegrity: () => tre.verifyIntegrity(),
    identity: () => tre.identity(),
    certificates: () => tre.certificates(),
    rootKeyHashes: () => tre.rootKeyHashes(),
    ocspResponderHashes: () => tre.ocspResponderHashes(),
    integrityReport: (binding) => tre.integrityReport(binding),
    computeAuth: (request) => tre.computeAuth(request),
    verifyPeer: (peer) => tre.verifyPeer(peer),
    statusRequest: (path, certificate) => tre.statusRequest(path, certificate),
    judgeStatus: (path, certificate, response) => tre.judgeStatus(path, certificate, response),
  };
}
