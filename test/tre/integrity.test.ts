import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Bytes } from "../../src/bytes/bytes.ts";
import { checkManifest, signManifest } from "../../src/tre/integrity.ts";
import { mutated } from "../ike/codec/arbitrary.ts";
import { KEY_MAKERS } from "../x509/made.ts";

const manufacturer = KEY_MAKERS["P-256"]();
const FILES = new Map([
  ["boot/loader.bin", Buffer.from("loader")],
  ["app/femtogate", Buffer.from("application")],
  ["app/..config/.hidden", Buffer.from("names may begin with dots")],
]);
const MANIFEST = signManifest(FILES, manufacturer.privateKey);

test("files as they were signed are intact, with keys of any kind that signs", () => {
  for (const keys of [manufacturer, KEY_MAKERS["RSA-2048"](), KEY_MAKERS["P-384"]()]) {
    const text = signManifest(FILES, keys.privateKey);
    assert.deepEqual(
      checkManifest(text, keys.publicKey, (path) => FILES.get(path)),
      { intact: true, problems: [] },
    );
  }
});

test("every file that is changed or missing is told", () => {
  const disk = new Map<string, Bytes>(FILES);
  disk.set("app/femtogate", Buffer.from("application."));
  disk.delete("boot/loader.bin");
  assert.deepEqual(check(MANIFEST, disk), ["boot/loader.bin is missing", "app/femtogate has been changed"]);
  disk.set("boot/loader.bin", Buffer.alloc(0));
  assert.deepEqual(check(MANIFEST, disk), ["boot/loader.bin has been changed", "app/femtogate has been changed"]);
});

test("a file that nobody listed is not measured", () => {
  assert.deepEqual(check(MANIFEST, new Map([...FILES, ["app/more", Buffer.from("more")]])), []);
});

describe("a manifest is refused", () => {
  const signed = (manifest: string) =>
    JSON.stringify({
      manifest,
      signature: sign("sha256", Buffer.from(manifest), manufacturer.privateKey).toString("base64"),
    });
  const SIGNATURE = "the manifest's signature does not verify under the manufacturer's key";
  const FORM = 'the manifest must hold the texts "manifest" and "signature"';
  const FILES_FORM = 'the signed manifest must hold "files", an object of SHA-256 digests by path';
  const cases: [because: string, text: string, problem: string][] = [
    ["if it is no JSON", "not JSON", "the manifest is no JSON object"],
    ["if it is empty", "", "the manifest is no JSON object"],
    ["if it is null", "null", "the manifest is no JSON object"],
    ["if it is a list", "[]", "the manifest is no JSON object"],
    ["if it is cut", MANIFEST.slice(0, -4), "the manifest is no JSON object"],
    ["if it has no signature", JSON.stringify({ manifest: "{}" }), FORM],
    ["if its manifest is no text", JSON.stringify({ manifest: {}, signature: "" }), FORM],
    ["if its signature is empty", JSON.stringify({ ...JSON.parse(MANIFEST), signature: "" }), SIGNATURE],
    ["if its signature is no base64", JSON.stringify({ ...JSON.parse(MANIFEST), signature: "?!" }), SIGNATURE],
    ["if another key signed it", signManifest(FILES, KEY_MAKERS["P-256"]().privateKey), SIGNATURE],
    ["if a digest in it was changed", MANIFEST.replace(/[0-9a-f]{64}/, "0".repeat(64)), SIGNATURE],
    ["if a file was added to it", MANIFEST.replace('{\\"files\\":{', '{\\"files\\":{\\"x\\":\\"y\\",'), SIGNATURE],
    ["if what was signed is no JSON", signed("files"), FILES_FORM],
    ["if what was signed has no files", signed("{}"), FILES_FORM],
    ["if what was signed has a list of files", signed('{"files":["a"]}'), FILES_FORM],
    ["if a digest in it is no text", signed('{"files":{"a":1}}'), FILES_FORM],
    [
      "if it lists no file: nothing measured is nothing known",
      signed('{"files":{}}'),
      "the signed manifest lists no file",
    ],
  ];
  for (const [because, text, problem] of cases) {
    test(because, () => {
      const read = () => assert.fail("nothing is read before the manifest has verified");
      assert.deepEqual(checkManifest(text, manufacturer.publicKey, read), { intact: false, problems: [problem] });
    });
  }

  test("if the manufacturer's key is of a kind that signs no digest", () => {
    const { publicKey } = generateKeyPairSync("x25519");
    assert.deepEqual(checkManifest(MANIFEST, publicKey, () => undefined).problems, [SIGNATURE]);
  });

  test("if it lists a path that leads elsewhere, which is not read", () => {
    for (const path of [
      "../etc/passwd",
      "..",
      "app/../../etc/passwd",
      "app/..",
      "/etc/passwd",
      "./app",
      "app/./x",
      "app//x",
      "app/",
      "",
      "app\\..\\x",
      "app\0/x",
    ]) {
      const read: string[] = [];
      const text = signed(JSON.stringify({ files: { [path]: "00", "boot/loader.bin": "00" } }));
      const { intact, problems } = checkManifest(text, manufacturer.publicKey, (asked) => {
        read.push(asked);
        return Buffer.alloc(0);
      });
      assert.deepEqual([intact, read], [false, ["boot/loader.bin"]]);
      assert.ok(problems.includes(`${JSON.stringify(path)} is no path below the device's root folder`), path);
      assert.throws(() => signManifest(new Map([[path, Buffer.alloc(1)]]), manufacturer.privateKey), RangeError);
    }
  });

  test("if it lists a name that objects have anyway, only for what is wrong with the file", () => {
    const text = signed('{"files":{"__proto__":"00","constructor":"00"}}');
    assert.deepEqual(checkManifest(text, manufacturer.publicKey, () => undefined).problems, [
      "__proto__ is missing",
      "constructor is missing",
    ]);
  });

  test("or accepted only as it was signed, whatever octets are changed", () => {
    const original = JSON.parse(MANIFEST);
    fc.assert(
      fc.property(mutated(fc.constant(Buffer.from(MANIFEST))), (octets) => {
        const text = octets.toString("latin1");
        if (checkManifest(text, manufacturer.publicKey, (path) => FILES.get(path)).intact)
          assert.equal(JSON.parse(text).manifest, original.manifest);
      }),
      { numRuns: 500 },
    );
  });
});

test("the public half of the manufacturer's key is enough to check", () => {
  assert.deepEqual(check(MANIFEST, FILES, createPublicKey(manufacturer.privateKey)), []);
});

function check(text: string, disk: ReadonlyMap<string, Bytes>, key = manufacturer.publicKey): readonly string[] {
  const { intact, problems } = checkManifest(text, key, (path) => disk.get(path));
  assert.equal(intact, problems.length === 0);
  return problems;
}
