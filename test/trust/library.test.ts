/** The library as others use it: by the package's name, as docs/library-trust.md shows. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { parseCertificate, SignatureCache, toPem, validatePath } from "femtogate/trust";
import { subjectAltName } from "../../src/x509/build.ts";
import { DAY, LEAF_EXTENSIONS, type Making, make } from "../x509/made.ts";
import { makeCrl } from "../x509/madeCrl.ts";

const now = Math.floor(Date.now() / 1000) * 1000;
const current = { notBefore: now - DAY, notAfter: now + DAY };
const root = make({ name: "Root", ...current });
const ca = make({ name: "CA", issuer: root, ...current });
const gateway = (making: Making = {}) =>
  make({
    name: "segw.example",
    issuer: ca,
    extensions: [...LEAF_EXTENSIONS, subjectAltName({ dns: ["segw.example"] })],
    ...current,
    ...making,
  });
const example = join(import.meta.dirname, "./libraryExample.ts");
const guide = readFileSync(join(import.meta.dirname, "../../docs/library-trust.md"), "utf8");
const folder = mkdtempSync(join(tmpdir(), "femtogate-library-"));
after(() => rmSync(folder, { recursive: true }));

test("the guide's example is the one that is run here", () => {
  assert.ok(guide.includes(`\`\`\`ts\n${readFileSync(example, "utf8")}\`\`\``));
});

test("the example tells a good gateway's path and the CRLs it is good by, as the guide says", () => {
  const { status, output } = runExample(gateway());
  assert.equal(status, 0, output);
  const shown = /prints\n\n```\n([^`]*)```/.exec(guide)?.[1];
  assert.ok(shown !== undefined && output.startsWith(shown), output);
});

test("the example tells why a revoked gateway is refused", () => {
  const revoked = gateway();
  const { status, output } = runExample(revoked, { revoked: [{ certificate: revoked, reason: 1 }] });
  assert.equal(status, 0, output);
  assert.match(
    output,
    /^Revoked: "O=Femtogate, CN=segw\.example" was revoked at .*, says CRL 1 of "O=Femtogate, CN=CA"/,
  );
});

test("many validations in one process leave no memory behind", () => {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  const kept = () => {
    collect();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const signatureCache = new SignatureCache();
  const sent = Array.from({ length: 8 }, () => [gateway().certificate.der, ca.certificate.der]);
  const validate = (count: number) => {
    for (let at = 0; at < count; at++) {
      const [leaf, ...intermediates] = sent[at % sent.length]!.map((der) => signatureCache.read(der));
      const verdict = validatePath({
        leaf: leaf!,
        intermediates,
        anchors: [root.certificate],
        time: now,
        purpose: "ike",
        // Half of them are refused: those must not be kept either.
        name: { fqdn: at % 2 === 0 ? "segw.example" : "other.example" },
        maxPath: 4,
        allowWeakAlgorithms: false,
        signatureCache,
      });
      assert.equal(verdict.valid, at % 2 === 0);
    }
  };
  validate(500);
  const before = kept();
  validate(4000);
  const grown = kept() - before;
  assert.ok(grown < 4000 * 100, `${grown} octets more after 4000 validations`);
});

function runExample(peer: ReturnType<typeof make>, crl: Parameters<typeof makeCrl>[1] = {}) {
  const dates = { thisUpdate: now - DAY, nextUpdate: now + DAY };
  const pem = (label: string, ...ders: readonly Buffer[]) => ders.map((der) => toPem(label, der)).join("");
  const write = (file: string, text: string) => writeFileSync(join(folder, file), text);
  write("peer.pem", pem("CERTIFICATE", peer.certificate.der, ca.certificate.der));
  write("roots.pem", pem("CERTIFICATE", parseCertificate(root.certificate.der).der));
  write("crls.pem", pem("X509 CRL", makeCrl(root, dates).der, makeCrl(ca, { ...dates, ...crl }).der));
  const { status, stdout, stderr } = spawnSync(process.execPath, [example], { cwd: folder, encoding: "utf8" });
  return { status, output: stdout + stderr };
}
