import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Issued, Pki } from "../../../src/pki/authority.ts";
import { KEY_KINDS, type KeyKind } from "../../../src/pki/certify.ts";
import type { OcspMethod } from "../../../src/revocation/ocspTransport.ts";
import { checkOcspResponse, type OcspVerdict } from "../../../src/trust/ocsp.ts";
import { buildOcspRequest, type CertId, certIdOf } from "../../../src/x509/ocsp.ts";
import { askOcsp } from "../../net/askOcsp.ts";
import { makePki } from "../../pki/folder.ts";
import { OpenSsl } from "./openssl.ts";

const MINUTE = 60_000;

for (const keys of KEY_KINDS) {
  test(`our client and openssl ocsp as responder with a delegated ${keys} signer: every status, by POST and GET`, async (t) => {
    const { openssl, good, revoked, missing, judge } = started(t, keys);
    const url = await openssl.serveOcsp(...INDEX, ...DELEGATE);
    for (const method of ["post", "get"] as const) {
      for (const hash of ["sha1", "sha256"] as const) {
        for (const nonce of [undefined, randomBytes(32)]) {
          const ask = async (issued: Issued) => (await judge({ url, issued, nonce, method, hash })).status;
          assert.deepEqual([await ask(good), await ask(revoked), await ask(missing)], ["good", "revoked", "unknown"]);
        }
      }
    }
    const verdict = await judge({ url, issued: revoked });
    assert.ok(verdict.status === "revoked" && verdict.reasonCode === 1 && verdict.at === Date.UTC(2026, 0, 2, 3, 4, 5));
  });
}

test("a response is good until its nextUpdate and not after, and not before its thisUpdate", async (t) => {
  const { openssl, good, judge } = started(t);
  const url = await openssl.serveOcsp(...INDEX, ...DELEGATE);
  const at = async (time: number) => {
    const verdict = await judge({ url, issued: good, time });
    return verdict.status === "invalid" ? verdict.problem.reason : verdict.status;
  };
  const now = Date.now();
  assert.equal(await at(now + 9 * MINUTE), "good");
  assert.equal(await at(now + 12 * MINUTE), "Stale");
  assert.equal(await at(now - 12 * MINUTE), "FromTheFuture");
});

test("another request's nonce, a signer that another CA delegated to, and one nobody delegated to are refused", async (t) => {
  const { openssl, pki, good, judge } = started(t);
  const url = await openssl.serveOcsp(...INDEX, ...DELEGATE);
  const replayed = await judge({ url, issued: good, nonce: randomBytes(32), expectedNonce: randomBytes(32) });
  assert.ok(replayed.status === "invalid" && replayed.problem.reason === "NonceMismatch");
  const signers = [
    ["-rsigner", `${pki.directory}/ca/segw-ca-ocsp.crt.pem`, "-rkey", `${pki.directory}/ca/segw-ca-ocsp.key.pem`],
    ["-rsigner", "good.crt.pem", "-rkey", "good.key.pem"],
  ];
  for (const signer of signers) {
    const verdict = await judge({ url: await openssl.serveOcsp(...INDEX, ...signer), issued: good });
    assert.ok(verdict.status === "invalid" && verdict.problem.reason === "UntrustedResponder", JSON.stringify(verdict));
  }
  const bare = await openssl.serveOcsp(...INDEX, ...DELEGATE, "-resp_no_certs");
  const anonymous = await judge({ url: bare, issued: good });
  assert.ok(anonymous.status === "invalid" && anonymous.problem.reason === "UntrustedResponder");
});

test("the CA itself may sign, and the responder may name itself by its key", async (t) => {
  const { openssl, good, judge } = started(t);
  const url = await openssl.serveOcsp(...INDEX, "-rsigner", "ca.crt.pem", "-rkey", "ca.key.pem", "-resp_key_id");
  assert.equal((await judge({ url, issued: good })).status, "good");
});

test("a responder that knows no such CA says so, and is not believed", async (t) => {
  const { openssl, pki, good, judge } = started(t);
  const url = await openssl.serveOcsp(...INDEX.slice(0, -1), pki.caFile("segw-ca"), ...DELEGATE);
  assert.equal((await judge({ url, issued: good })).status, "unknown");
});

interface Asking {
  url: string;
  issued: Issued;
  nonce?: Buffer | undefined;
  /** Instead of the one that was sent. */
  expectedNonce?: Buffer;
  method?: OcspMethod;
  hash?: CertId["hash"];
  time?: number;
}

/** A PKI whose device CA answers by openssl: one certificate good, one revoked, one that the index lacks. */
function started(
  t: TestContext,
  ocspKeys: KeyKind = "p-256",
): {
  openssl: OpenSsl;
  pki: Pki;
  good: Issued;
  revoked: Issued;
  missing: Issued;
  judge(asking: Asking): Promise<OcspVerdict>;
} {
  const openssl = new OpenSsl();
  t.after(() => openssl[Symbol.dispose]());
  const pki = makePki(t, { ocspKeys });
  const issue = (name: string) => pki.issue({ profile: "henb", dns: [`${name}.example`] });
  const [good, revoked, missing] = [issue("good"), issue("revoked"), issue("missing")];
  pki.writeFiles(good, join(openssl.directory, "good"));
  for (const [from, to] of [
    ["device-ca", "ca"],
    ["device-ca-ocsp", "signer"],
  ] as const)
    for (const part of ["crt.pem", "key.pem"])
      openssl.write(`${to}.${part}`, openssl.read(join(pki.directory, "ca", `${from}.${part}`)));
  const line = (flag: string, revokedAt: string, { certificate }: Issued) =>
    `${flag}\t361231235959Z\t${revokedAt}\t${certificate.serialText.toUpperCase()}\tunknown\t/CN=${certificate.subject.commonName}\n`;
  openssl.write("index.txt", line("V", "", good) + line("R", "260102030405Z,keyCompromise", revoked));
  const issuer = pki.ca("device-ca");
  const judge = async ({ url, issued, nonce, expectedNonce, method, hash, time = Date.now() }: Asking) => {
    const { certificate } = issued;
    const request = buildOcspRequest([certIdOf(certificate, issuer, hash)], nonce);
    const response = await askOcsp(url, request, method);
    const expected = expectedNonce ?? nonce;
    return checkOcspResponse({
      response,
      certificate,
      issuer,
      time,
      tolerance: 1000,
      maxAge: 0,
      ...(expected === undefined ? {} : { nonce: expected }),
      trustedResponders: [],
      allowWeakAlgorithms: false,
    });
  };
  return { openssl, pki, good, revoked, missing, judge };
}

const DELEGATE = ["-rsigner", "signer.crt.pem", "-rkey", "signer.key.pem"];
const INDEX = ["-index", "index.txt", "-nmin", "10", "-CA", "ca.crt.pem"];
