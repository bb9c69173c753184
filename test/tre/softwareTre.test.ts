import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { inspect } from "node:util";
import { type Issued, Pki } from "../../src/pki/authority.ts";
import { systemEnvironment } from "../../src/sim/system.ts";
import { HashAlgorithm, signAuth, verifyAuth } from "../../src/tre/authSignature.ts";
import { fqdnIdentity, IdType } from "../../src/tre/identity.ts";
import { signManifest } from "../../src/tre/integrity.ts";
import { SoftwareTre, TreError, type TrePolicy } from "../../src/tre/softwareTre.ts";
import type { PeerCredentials } from "../../src/tre/trustedEnvironment.ts";
import { toPem } from "../../src/x509/pem.ts";
import { KEY_MAKERS } from "../x509/made.ts";

const DEVICE = "ap-0001.manufacturer.example";
const GATEWAY = "segw.operator.example";
const OCTETS = Buffer.from("message, nonce, MACed identity");
const HASHES = [HashAlgorithm.SHA2_256];

const temporary = mkdtempSync(join(tmpdir(), "femtogate-tre-"));
const pki = Pki.create(join(temporary, "pki"), systemEnvironment);
const device = pki.issue({ profile: "henb", dns: [DEVICE] });
const gateway = pki.issue({ profile: "segw", dns: [GATEWAY] });
const manufacturer = KEY_MAKERS["P-256"]();
after(() => {
  pki.close();
  rmSync(temporary, { recursive: true });
});

describe("a TrE folder with what the PKI issued", () => {
  const tre = open(folder());

  test("has the device's identity, its path without the root, and the operator's root", async () => {
    assert.deepEqual(await tre.identity(), { idType: IdType.FQDN, idData: Buffer.from(DEVICE), fqdn: DEVICE });
    assert.deepEqual(await tre.certificates(), [device.certificate.der, pki.ca("device-ca").der]);
    assert.deepEqual(await tre.rootKeyHashes(), [pki.ca("operator-root").keyHash]);
  });

  test("computes AUTH by the device's key, for the hashes that the peer announced (7.2.2-12)", async () => {
    for (const peerHashes of [HASHES, []]) {
      const { method, data } = await tre.computeAuth({ octets: OCTETS, peerHashes, acceptableCas: [] });
      verifyAuth(device.certificate.publicKey!, method, data, OCTETS, HASHES);
    }
  });

  test("names the responders that it trusts by configuration", async () => {
    const [responder] = pki.ocspSigners();
    const directory = folder();
    mkdirSync(join(directory, "responders"));
    writeFileSync(join(directory, "responders", "own.pem"), toPem("CERTIFICATE", responder!.certificate.der));
    const trusting = open(directory);
    assert.deepEqual(await trusting.ocspResponderHashes(), [responder!.certificate.keyHash]);
    assert.deepEqual(await tre.ocspResponderHashes(), []);
  });

  test("accepts the gateway it connected to and gives the evidence (7.2.2-11)", async () => {
    assert.deepEqual(await tre.verifyPeer(sentBy(gateway)), {
      valid: true,
      evidence: {
        path: [gateway.certificate, pki.ca("segw-ca"), pki.ca("operator-root")].map(({ subject }) =>
          subject.toString(),
        ),
        ocsp: "not checked",
        names: [GATEWAY],
      },
      path: 1,
      status: { answered: [], unanswered: [] },
    });
  });

  test("refuses a gateway of another name, of another hierarchy, or with a path of five", async () => {
    const refusal = async (sent: PeerCredentials) => {
      const verdict = await tre.verifyPeer(sent);
      return verdict.valid ? "valid" : verdict.refusal.reason;
    };
    assert.equal(await refusal({ ...sentBy(gateway), connectedTo: { fqdn: "other.example" } }), "NameMismatch");
    assert.equal(await refusal({ ...sentBy(device), ...fqdnIdentity(DEVICE) }), "NoPathToTrustAnchor");
    const deep = (extraCas: number) => sentBy(pki.issue({ profile: "segw", dns: [GATEWAY], extraCas }));
    assert.equal(await refusal(deep(2)), "valid");
    assert.equal(await refusal(deep(3)), "PathTooLong");
  });

  test("lets nobody change what is in it", async () => {
    const [certificate] = await tre.certificates();
    certificate!.fill(0);
    assert.deepEqual((await tre.certificates())[0], device.certificate.der);
    const { idData } = await tre.identity();
    idData.fill(0);
    assert.equal((await tre.identity()).idData.toString(), DEVICE);
  });

  test("may have a path of four (7.2.4-1)", async () => {
    const directory = folder();
    pki.writeFiles(pki.issue({ profile: "henb", dns: [DEVICE], extraCas: 2 }), join(directory, "identity"));
    assert.equal((await open(directory).certificates()).length, 4);
  });

  test("may hold several roots, in several files or one, and takes *.pem only", async () => {
    const directory = folder();
    writeFileSync(join(directory, "roots", "README"), "not a certificate");
    const both =
      readFileSync(pki.caFile("operator-root"), "utf8") + readFileSync(pki.caFile("manufacturer-root"), "utf8");
    writeFileSync(join(directory, "roots", "more.pem"), both);
    assert.equal((await open(directory).rootKeyHashes()).length, 3);
  });
});

describe("a folder that cannot be used is refused with what to do", () => {
  const cases: [what: string, spoil: (directory: string) => void, says: RegExp][] = [
    [
      "no folder",
      (directory) => rmSync(directory, { recursive: true }),
      /identity\.chain\.pem cannot be read \(ENOENT\): put there the device's certificate, then the CAs above it/,
    ],
    ["a chain without a certificate", overwrite("identity.chain.pem", "hello"), /holds no PEM certificate: put there/],
    [
      "a chain whose certificate is damaged",
      overwrite("identity.chain.pem", toPem("CERTIFICATE", device.certificate.der.subarray(0, 100))),
      /identity\.chain\.pem holds a certificate that cannot be read \(.*octet.*\): put there/,
    ],
    [
      "a chain of five",
      overwrite("identity.chain.pem", pemOf(pki.issue({ profile: "henb", dns: [DEVICE], extraCas: 3 }))),
      /identity\.chain\.pem holds 5 certificates, at most 4 may be sent/,
    ],
    [
      "a chain that begins with the CA",
      overwrite("identity.chain.pem", toPem("CERTIFICATE", pki.ca("device-ca").der) + pemOf(device)),
      /the first certificate in .*, of "O=Manufacturer, CN=H\(e\)NB CA", has no FQDN in subjectAltName.*put it first/,
    ],
    [
      "no key",
      remove("identity.key.pem"),
      /identity\.key\.pem cannot be read \(ENOENT\): put there the device's private key/,
    ],
    [
      "a key that is none",
      overwrite("identity.key.pem", "hello"),
      /holds no private key that can be read: write it as PEM/,
    ],
    [
      "a key that is damaged",
      (directory) => overwrite("identity.key.pem", keyPem(device).replace(/\n.{20}/, "\n"))(directory),
      /holds no private key that can be read/,
    ],
    [
      "a key with a passphrase",
      overwrite(
        "identity.key.pem",
        device.key.export({ format: "pem", type: "pkcs8", cipher: "aes-256-cbc", passphrase: "secret" }),
      ),
      /holds no private key that can be read: write it as PEM, PKCS #8 without a passphrase/,
    ],
    [
      "the public key only",
      overwrite("identity.key.pem", device.certificate.publicKey!.export({ format: "pem", type: "spki" })),
      /holds no private key/,
    ],
    [
      "the key of another certificate",
      overwrite("identity.key.pem", keyPem(gateway)),
      /identity\.key\.pem is not the key of the first certificate in .*identity\.chain\.pem, of "O=Manufacturer, CN=ap-0001/,
    ],
    [
      "no roots",
      remove("roots"),
      /roots cannot be read \(ENOENT\): make it, and put there the certificates of the root CAs/,
    ],
    ["an empty folder of roots", remove("roots/operator.pem"), /roots holds no \*\.pem: .*nobody can be trusted/],
    ["a root that is none", overwrite("roots/operator.pem", keyPem(gateway)), /operator\.pem holds no PEM certificate/],
    [
      "a folder in place of a root",
      (directory) => mkdirSync(join(directory, "roots", "x.pem")),
      /x\.pem cannot be read \(EISDIR\)/,
    ],
  ];
  for (const [what, spoil, says] of cases) {
    test(`for ${what}`, () => {
      const directory = folder();
      spoil(directory);
      assert.throws(
        () => open(directory),
        (error) => {
          assert.ok(error instanceof TreError, String(error));
          assert.match(error.message, says);
          assert.ok(error.message.includes(directory), "says where");
          assertNoSecret(inspect(error, { depth: null, showHidden: true }));
          return true;
        },
      );
    });
  }
});

test("the private key is in no answer, no text of the TrE and no error (7.2.2-10)", async () => {
  const tre = open(folder());
  const errors = [];
  for (const ask of [
    () => tre.computeAuth({ octets: OCTETS, peerHashes: [99], acceptableCas: [] }),
    () => tre.verifyPeer({ ...sentBy(gateway), certificates: [Buffer.from("x")] }),
  ])
    errors.push(await ask().catch((error: unknown) => error));
  const answers = [
    await tre.identity(),
    await tre.certificates(),
    await tre.rootKeyHashes(),
    await tre.ocspResponderHashes(),
    await tre.verifyIntegrity(),
    await tre.computeAuth({ octets: OCTETS, peerHashes: HASHES, acceptableCas: [] }),
    await tre.computeAuth({ octets: OCTETS, peerHashes: [], acceptableCas: [] }),
    await tre.verifyPeer(sentBy(gateway)),
  ];
  for (const value of [tre, errors, ...answers, Object.getOwnPropertyNames(tre)]) {
    assertNoSecret(inspect(value, { depth: null, showHidden: true, maxArrayLength: null, maxStringLength: null }));
    assertNoSecret(JSON.stringify(value));
    assertNoSecret(hexOf(value));
  }
  assert.deepEqual(Object.getOwnPropertyNames(tre), []);
});

describe("the integrity check (A.1-1)", () => {
  const FILES = new Map([
    ["boot/loader.bin", Buffer.from("loader")],
    ["app", Buffer.from("application")],
  ]);

  test("finds the files of the signed manifest intact, as often as it is asked, also where the root folder is /", async () => {
    const { directory, files } = withManifest();
    const tre = open(directory, {}, files);
    for (let i = 0; i < 2; i++) assert.deepEqual(await tre.verifyIntegrity(), { intact: true, problems: [] });
    const fromRoot = signManifest(
      new Map([...FILES].map(([path, content]) => [join(files, path).slice(1), content])),
      manufacturer.privateKey,
    );
    writeFileSync(join(directory, "manifest.json"), fromRoot);
    assert.deepEqual(await open(directory, {}, "/").verifyIntegrity(), { intact: true, problems: [] });
  });

  test("sees a file that is changed, missing, a folder or a pipe, when it is asked and not when it was opened", async () => {
    const { directory, files } = withManifest();
    const tre = open(directory, {}, files);
    writeFileSync(join(files, "app"), "applicatiom");
    assert.deepEqual((await tre.verifyIntegrity()).problems, ["app has been changed"]);
    rmSync(join(files, "app"));
    assert.deepEqual((await tre.verifyIntegrity()).problems, ["app is missing"]);
    mkdirSync(join(files, "app"));
    assert.deepEqual((await tre.verifyIntegrity()).problems, ["app is missing"]);
    rmSync(join(files, "app"), { recursive: true });
    execFileSync("mkfifo", [join(files, "app")]);
    assert.deepEqual((await tre.verifyIntegrity()).problems, ["app is missing"]);
  });

  test("is not passed without a manifest, without the manufacturer's key, or with another's", async () => {
    const spoilt: [(directory: string) => void, RegExp][] = [
      [remove("manifest.json"), /manifest\.json cannot be read \(ENOENT\): put there the manifest/],
      [remove("manifest.pub.pem"), /manifest\.pub\.pem cannot be read \(ENOENT\): put there the public key/],
      [overwrite("manifest.pub.pem", "hello"), /manifest\.pub\.pem holds no public key that can be read/],
      [overwrite("manifest.pub.pem", publicPem(KEY_MAKERS["P-256"]().publicKey)), /signature does not verify/],
      [overwrite("manifest.json", "{"), /is no JSON object/],
    ];
    for (const [spoil, says] of spoilt) {
      const { directory, files } = withManifest();
      spoil(directory);
      const { intact, problems } = await open(directory, {}, files).verifyIntegrity();
      assert.equal(intact, false);
      assert.equal(problems.length, 1);
      assert.match(problems[0]!, says);
    }
  });

  function withManifest(): { directory: string; files: string } {
    const directory = folder();
    const files = mkdtempSync(join(temporary, "files-"));
    mkdirSync(join(files, "boot"));
    for (const [path, content] of FILES) writeFileSync(join(files, path), content);
    writeFileSync(join(directory, "manifest.json"), signManifest(FILES, manufacturer.privateKey));
    writeFileSync(join(directory, "manifest.pub.pem"), publicPem(manufacturer.publicKey));
    return { directory, files };
  }
});

/** A TrE folder of the device, as a person would make it from what the PKI wrote. */
function folder(): string {
  const directory = mkdtempSync(join(temporary, "tre-"));
  pki.writeFiles(device, join(directory, "identity"));
  mkdirSync(join(directory, "roots"));
  copyFileSync(pki.caFile("operator-root"), join(directory, "roots", "operator.pem"));
  return directory;
}

function open(directory: string, over: Partial<TrePolicy> = {}, filesRoot = directory): SoftwareTre {
  return new SoftwareTre(directory, filesRoot, {
    clock: systemEnvironment.clock,
    acceptedHashes: HASHES,
    allowWeakAlgorithms: false,
    inBandOcsp: "off",
    ocspTolerance: 300_000,
    ocspMaxAge: 3600_000,
    ocspDelegates: "trust",
    ...over,
  });
}

function sentBy(peer: Issued): PeerCredentials {
  const { method, data } = signAuth(peer.key, OCTETS, HASHES);
  return {
    ...fqdnIdentity(GATEWAY),
    certificates: peer.chain.map((certificate) => certificate.der),
    ocspResponses: [],
    authMethod: method,
    authData: data,
    octets: OCTETS,
    connectedTo: { fqdn: GATEWAY },
  };
}

function overwrite(file: string, content: string | Buffer): (directory: string) => void {
  return (directory) => writeFileSync(join(directory, file), content);
}

function remove(file: string): (directory: string) => void {
  return (directory) => rmSync(join(directory, file), { recursive: true });
}

function pemOf({ chain }: Issued): string {
  return chain.map((certificate) => toPem("CERTIFICATE", certificate.der)).join("");
}

function keyPem({ key }: Issued): string {
  return key.export({ format: "pem", type: "pkcs8" }).toString();
}

function publicPem(key: typeof manufacturer.publicKey): string {
  return key.export({ format: "pem", type: "spki" }).toString();
}

/** Nothing of the key's private number, however it is written. */
function assertNoSecret(text: string | undefined): void {
  const secret = Buffer.from(device.key.export({ format: "jwk" }).d!, "base64url");
  const lines = keyPem(device).split("\n").slice(1, -2);
  const grouped = secret.toString("hex").replace(/(..)(?=.)/g, "$1 ");
  for (const form of [
    secret.toString("hex"),
    secret.toString("base64"),
    secret.toString("base64url"),
    grouped,
    ...lines,
  ])
    assert.ok(text === undefined || !text.includes(form.slice(0, 24)), "the key shows");
}

/** All octet strings in a value, in hexadecimal. */
function hexOf(value: unknown): string {
  if (Buffer.isBuffer(value)) return value.toString("hex");
  return typeof value === "object" && value !== null ? Object.values(value).map(hexOf).join(" ") : "";
}
