/** The TrE's part of asking a responder about the gateway (TS 33.320 7.2.2-5, 7.2.2-11, 7.2.3-4). */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Bytes } from "../../src/bytes/bytes.ts";
import { seededRandom } from "../../src/sim/random.ts";
import { AskedStatus, type AskingPolicy, StatusQuestionError } from "../../src/tre/askedStatus.ts";
import { type VerifierPolicy, verifyCredentials } from "../../src/tre/peerVerifier.ts";
import type { PathStatus, PeerCredentials, VerifiedPathId } from "../../src/tre/trustedEnvironment.ts";
import { authorityInfoAccess } from "../../src/x509/build.ts";
import { certIdOf, parseOcspRequest, sameCertId } from "../../src/x509/ocsp.ts";
import { DAY, make, NOW } from "../x509/made.ts";
import {
  accepted,
  ca,
  LEAF_CHECKED,
  leaf,
  makeLeaf,
  NAMES,
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

const PATH = [leaf, ca, root].map(({ certificate }) => certificate);

describe("where the device has another way to ask", () => {
  test("certificates without a valid in-band response are left to it, the others are not asked about again", () => {
    const expired = ocsp(leaf, ca, { thisUpdate: NOW - 2 * DAY, nextUpdate: NOW - DAY });
    for (const [sent, answered, unanswered] of [
      [[], [], [0, 1]],
      [[expired], [], [0, 1]],
      [[ocsp(leaf, ca)], [0], [1]],
      [[ocsp(ca, root)], [1], [0]],
      [[ocsp(ca, root), ocsp(leaf, ca)], [0, 1], []],
    ] as [Bytes[], number[], number[]][]) {
      const status = statusOf(withOcsp(...sent), { ...PATH_CHECKED, askedOcsp: "leaf" });
      assert.deepEqual([status.answered, status.unanswered], [answered, unanswered]);
      assert.equal(status.goodUntil, answered.length === 0 ? undefined : NOW + DAY);
    }
  });

  test("its scope counts where it is wider than that of the in-band way", () => {
    const status = statusOf(withOcsp(ocsp(leaf, ca)), { ...LEAF_CHECKED, askedOcsp: "path" });
    assert.deepEqual(status, { answered: [0], unanswered: [1], goodUntil: NOW + DAY });
    const alone = { inBandOcsp: "off", askedOcsp: "leaf" } as const;
    assert.deepEqual(statusOf(withOcsp(ocsp(leaf, ca)), alone), { answered: [], unanswered: [0] });
    assert.equal(accepted(withOcsp(ocsp(leaf, ca)), alone).ocsp, "not checked");
  });

  test("bad news in-band is still bad news", () => {
    for (const [status, reason] of [
      [REVOKED, "CertificateRevoked"],
      [UNKNOWN, "CertificateUnknown"],
    ] as const) {
      const refusal = refusalOf(withOcsp(ocsp(leaf, ca, { status })), { ...LEAF_CHECKED, askedOcsp: "leaf" });
      assert.equal(refusal.reason, reason);
    }
  });

  test("a response without nextUpdate counts until it is too old", () => {
    const response = ocsp(leaf, ca, { nextUpdate: undefined });
    const status = statusOf(withOcsp(response), { ...LEAF_CHECKED, ocspMaxAge: 2 * DAY });
    assert.equal(status.goodUntil, NOW - 3600_000 + 2 * DAY);
  });
});

describe("a request", () => {
  test("is about the certificate by its issuer, with a nonce of 32 octets or none, and tells whom it names", () => {
    const url = "http://ocsp.example/";
    const named = makeLeaf({ extensions: [NAMES, authorityInfoAccess({ ocsp: url })] });
    for (const nonce of ["off", "optional", "required"] as const) {
      for (const hash of ["sha1", "sha256"] as const) {
        const asked = asking({ nonce, hash });
        const path = asked.keep([named.certificate, ca.certificate, root.certificate]);
        const { request, subject, withNonce, named: told } = asked.request(path, 0);
        const read = parseOcspRequest(request);
        assert.deepEqual([subject, told], [named.certificate.subject.toString(), [url]]);
        assert.equal(read.ids.length, 1);
        assert.ok(sameCertId(read.ids[0]!, certIdOf(named.certificate, ca.certificate, hash)));
        assert.deepEqual([withNonce, read.nonce?.length], nonce === "off" ? [false, undefined] : [true, 32]);
      }
    }
  });

  test("can be made for any certificate below the root, and for none that was not verified", () => {
    const asked = asking();
    const path = asked.keep(PATH);
    assert.equal(asked.request(path, 1).subject, ca.certificate.subject.toString());
    for (const [id, at] of [
      [path, 2],
      [path, 3],
      [path, -1],
      [path + 1, 0],
    ] as const)
      assert.throws(() => asked.request(id as VerifiedPathId, at), StatusQuestionError);
  });

  test("can be made for the paths verified last, not for all there ever were", () => {
    const asked = asking();
    const [first, ...later] = Array.from({ length: 5 }, () => asked.keep(PATH));
    assert.throws(() => asked.request(first!, 0), /certificate 0 of path 1 is not at hand: verifyPeer comes first/);
    for (const path of later) assert.ok(asked.request(path, 0).request.length > 0);
  });
});

describe("an answer", () => {
  test("is good until its nextUpdate, says whoever signed it", () => {
    const verdict = judged((nonce) => ocsp(leaf, ca, { outer: { nonce } }));
    assert.deepEqual(verdict, { status: "good", responder: ca.certificate.subject.toString(), goodUntil: NOW + DAY });
    assert.equal(judged((nonce) => ocsp(leaf, ca, { by: responder(), outer: { nonce } })).status, "good");
  });

  test("about a CA is judged by the CA above it", () => {
    assert.equal(judged(() => ocsp(ca, root), {}, 1).status, "good");
    assert.equal(judged(() => ocsp(leaf, ca), {}, 1).status, "invalid");
  });

  test("that is not good refuses, with what was said", () => {
    const revoked = judged((nonce) => ocsp(leaf, ca, { status: REVOKED, outer: { nonce } }));
    assert.ok(revoked.status === "revoked");
    assert.equal(revoked.refusal.reason, "CertificateRevoked");
    assert.match(revoked.refusal.message, /^"O=Femtogate, CN=gateway" was revoked at .*, says "O=Femtogate, CN=CA"$/);
    const unknown = judged((nonce) => ocsp(leaf, ca, { status: UNKNOWN, outer: { nonce } }));
    assert.ok(unknown.status === "unknown" && unknown.refusal.reason === "CertificateUnknown");
  });

  for (const [what, answer, problem] of [
    ["is out of date", () => ocsp(leaf, ca, { thisUpdate: NOW - 2 * DAY, nextUpdate: NOW - DAY }), /was good until/],
    ["is about another", () => ocsp(sibling, ca), /about another certificate/],
    ["is by a stranger", () => ocsp(leaf, ca, { by: make({ name: "stranger" }) }), /may not answer for this CA/],
    ["is none", () => Buffer.from("<html>"), /malformed/],
    ["carries another nonce", () => ocsp(leaf, ca, { outer: { nonce: Buffer.alloc(32, 1) } }), /another nonce/],
  ] as const) {
    test(`that ${what} is no answer`, () => {
      const verdict = judged(answer);
      assert.ok(verdict.status === "invalid");
      assert.match(verdict.problem, problem);
    });
  }

  test("without the nonce is taken where that is optional, and refused where it is required", () => {
    assert.equal(judged(() => ocsp(leaf, ca)).status, "good");
    assert.equal(judged(() => ocsp(leaf, ca), { nonce: "required" }).status, "invalid");
    assert.equal(judged((nonce) => ocsp(leaf, ca, { outer: { nonce } }), { nonce: "required" }).status, "good");
  });

  test("is judged once a request, against the nonce of the last one", () => {
    const asked = asking();
    const path = asked.keep(PATH);
    const nonces = [asked.request(path, 0), asked.request(path, 0)].map(
      ({ request }) => parseOcspRequest(request).nonce,
    );
    assert.notDeepEqual(nonces[0], nonces[1]);
    const [older, newer] = nonces.map((nonce) => ocsp(leaf, ca, { outer: { nonce } }));
    assert.equal(asked.judge(path, 0, older!).status, "invalid");
    assert.throws(() => asked.judge(path, 0, newer!), /no request about certificate 0 is open/);
    assert.throws(() => asked.judge(path, 1, newer!), StatusQuestionError);
  });
});

function statusOf(sent: PeerCredentials, by: Partial<VerifierPolicy>): PathStatus {
  const verdict = verifyCredentials(sent, policy(by));
  assert.ok(verdict.valid);
  return verdict.verified.status;
}

function asking(changes: Partial<AskingPolicy> = {}): AskedStatus {
  return new AskedStatus(
    {
      clock: { now: () => NOW },
      ocspTolerance: 300_000,
      ocspMaxAge: DAY,
      ocspDelegates: "trust",
      trustedResponders: [],
      allowWeakAlgorithms: false,
    },
    { nonce: "optional", hash: "sha1", ...changes },
    seededRandom("asked"),
  );
}

/** What is made of an answer to a request with that nonce. */
function judged(answer: (nonce: Bytes | undefined) => Bytes, changes: Partial<AskingPolicy> = {}, at = 0) {
  const asked = asking(changes);
  const path = asked.keep(PATH);
  const { nonce } = parseOcspRequest(asked.request(path, at).request);
  return asked.judge(path, at, answer(nonce));
}
