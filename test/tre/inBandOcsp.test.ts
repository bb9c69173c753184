import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Bytes } from "../../src/bytes/bytes.ts";
import type { CredentialsProblem } from "../../src/tre/peerRefusal.ts";
import { verifyCredentials } from "../../src/tre/peerVerifier.ts";
import { SignatureCache } from "../../src/trust/signatureCache.ts";
import { DAY, make, NOW } from "../x509/made.ts";
import {
  accepted,
  ca,
  LEAF_CHECKED,
  leaf,
  ocsp,
  PATH_CHECKED,
  policy,
  REVOKED,
  refusalOf,
  responder,
  root,
  sibling,
  UNKNOWN,
  withOcsp,
} from "./peers.ts";

describe("in-band OCSP", () => {
  test("is good by the CA itself, by one it delegated to, and by one trusted by configuration", () => {
    const trusted = make({ name: "trusted" });
    for (const response of [ocsp(leaf, ca), ocsp(leaf, ca, { by: responder() }), ocsp(leaf, ca, { by: trusted })]) {
      const by = { ...LEAF_CHECKED, trustedResponders: [trusted.certificate] };
      assert.equal(accepted(withOcsp(response), by).ocsp, "in-band good");
    }
  });

  test("by one it delegated to counts where such are refused only with id-pkix-ocsp-nocheck (RFC 6960 4.2.2.2.1)", () => {
    const strict = { ...LEAF_CHECKED, ocspDelegates: "refuse" } as const;
    const { reason, message } = refusalOf(withOcsp(ocsp(leaf, ca, { by: responder() })), strict);
    assert.equal(reason, "NoValidOcspResponse");
    assert.match(message, /lacks id-pkix-ocsp-nocheck/);
    const known = responder();
    const trusting = { ...strict, trustedResponders: [known.certificate] };
    assert.equal(accepted(withOcsp(ocsp(leaf, ca, { by: known })), trusting).ocsp, "in-band good");
    assert.equal(accepted(withOcsp(ocsp(leaf, ca)), strict).ocsp, "in-band good");
  });

  test("of the whole path needs an answer for each certificate below the root", () => {
    assert.equal(accepted(withOcsp(ocsp(leaf, ca), ocsp(ca, root)), PATH_CHECKED).ocsp, "in-band good");
    for (const only of [ocsp(ca, root), ocsp(leaf, ca)])
      assert.equal(refusalOf(withOcsp(only), PATH_CHECKED).reason, "NoValidOcspResponse");
  });

  test("is not looked at where the policy is off", () => {
    assert.equal(accepted(withOcsp(ocsp(leaf, ca, { status: REVOKED }))).ocsp, "not checked");
  });

  test("is not spoilt by worthless responses beside it, in any order", () => {
    const worthless = [
      Buffer.from("?"),
      ocsp(sibling, ca, { status: REVOKED }),
      ocsp(leaf, ca, { thisUpdate: NOW - 2 * DAY, nextUpdate: NOW - DAY }),
    ];
    for (const order of [
      [...worthless, ocsp(leaf, ca)],
      [ocsp(leaf, ca), ...worthless],
    ])
      accepted(withOcsp(...order), LEAF_CHECKED);
  });

  test("tells of a response that was about the certificate, rather than of one that was not", () => {
    const expired = ocsp(leaf, ca, { thisUpdate: NOW - 2 * DAY, nextUpdate: NOW - DAY });
    for (const order of [
      [expired, ocsp(sibling, ca)],
      [ocsp(sibling, ca), expired],
    ])
      assert.match(refusalOf(withOcsp(...order), LEAF_CHECKED).message, /was good until/);
  });

  test("counts by its newest answer: a good one from before does not hide a revocation, nor the other way round", () => {
    const before = NOW - 7200_000;
    const cases: [Bytes[], "good" | CredentialsProblem][] = [
      [[ocsp(leaf, ca, { thisUpdate: before }), ocsp(leaf, ca, { status: REVOKED })], "CertificateRevoked"],
      [[ocsp(leaf, ca), ocsp(leaf, ca, { status: REVOKED, thisUpdate: before })], "good"],
      [[ocsp(leaf, ca), ocsp(leaf, ca, { status: REVOKED })], "CertificateRevoked"],
      [[ocsp(leaf, ca), ocsp(leaf, ca, { status: UNKNOWN })], "CertificateUnknown"],
    ];
    for (const [responses, expected] of cases) {
      for (const order of [responses, responses.toReversed()]) {
        const verdict = verifyCredentials(withOcsp(...order), policy(LEAF_CHECKED));
        assert.equal(verdict.valid ? "good" : verdict.refusal.reason, expected);
      }
    }
  });

  test("carries its evidence: whose certificate, when it was revoked and why, who says so", () => {
    const { evidence } = refusalOf(withOcsp(ocsp(leaf, ca, { status: REVOKED })), LEAF_CHECKED);
    assert.partialDeepStrictEqual(evidence, {
      certificate: "O=Femtogate, CN=gateway",
      at: NOW - DAY,
      reasonCode: 1,
      evidence: { responder: "O=Femtogate, CN=CA", thisUpdate: NOW - 3600_000 },
    });
  });

  test("has a delegated signer's certificate verified once where there is a cache", () => {
    const signatureCache = new Counting();
    const response = ocsp(leaf, ca, { by: responder() });
    for (let i = 0; i < 3; i++) accepted(withOcsp(response), { ...LEAF_CHECKED, signatureCache });
    assert.equal(signatureCache.verified, 2, "the CA's certificate and the responder's");
  });
});

class Counting extends SignatureCache {
  verified = 0;

  override remember(...[certificate, issuer, verify]: Parameters<SignatureCache["remember"]>): boolean {
    return super.remember(certificate, issuer, () => {
      this.verified += 1;
      return verify();
    });
  }
}
