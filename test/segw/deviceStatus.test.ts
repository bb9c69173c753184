import assert from "node:assert/strict";
import test, { after } from "node:test";
import type { Bytes } from "../../src/bytes/bytes.ts";
import { OcspResponder } from "../../src/pki/ocspResponder.ts";
import { checkDeviceStatus, type DeviceStatusOptions } from "../../src/segw/deviceStatus.ts";
import { certIdOf, parseOcspRequest, sameCertId } from "../../src/x509/ocsp.ts";
import { Credentials, RESPONDER, START } from "../e2e/credentials.ts";

const credentials = new Credentials();
after(() => credentials[Symbol.dispose]());

const { chain } = credentials.issueDevice("ap-1.example");
const PATH = [...chain, credentials.pki.ca("manufacturer-root")];

test("the question is about the end entity under its issuer", async () => {
  const requests: Bytes[] = [];
  const status = await checkDeviceStatus(
    PATH,
    options({
      async fetch(_url, request) {
        requests.push(request);
        return answer(request);
      },
    }),
  );
  assert.equal(status, "OCSP good");
  const [id, ...more] = parseOcspRequest(requests[0]!).ids;
  assert.deepEqual(more, []);
  assert.ok(sameCertId(id!, certIdOf(PATH[0]!, PATH[1]!)));
});

test("responders that fail are gone through in order, four at most, and the refusal tells what each said", async () => {
  const asked: string[] = [];
  const urls = [1, 2, 3, 4, 5].map((number) => `http://ocsp-${number}.example/`);
  const status = await checkDeviceStatus(
    PATH,
    options({
      urls,
      async fetch(url) {
        asked.push(url);
        if (url.includes("-2")) return Buffer.from("nonsense");
        throw new Error(`${url} is down`);
      },
    }),
  );
  assert.deepEqual(asked, urls.slice(0, 4));
  assert.ok(typeof status !== "string");
  assert.equal(status.reason, "NoValidOcspResponse");
  const { tried, certificate } = status.evidence as { tried: { url: string; problem: string }[]; certificate: string };
  assert.equal(certificate, "O=Manufacturer, CN=ap-1.example");
  assert.deepEqual(
    tried.map(({ url }) => url),
    asked,
  );
  assert.match(tried[1]!.problem, /^http:\/\/ocsp-2\.example\/: the OCSP response is malformed/);
  assert.match(status.message, /ocsp-1\.example\/ is down; .*ocsp-4\.example\/ is down$/);
});

test("the first good answer ends the search, and a failing one before it does no harm", async () => {
  const asked: string[] = [];
  const status = await checkDeviceStatus(
    PATH,
    options({
      urls: ["http://down.example/", RESPONDER, "http://never.example/"],
      async fetch(url, request) {
        asked.push(url);
        if (url !== RESPONDER) throw new Error("down");
        return answer(request);
      },
    }),
  );
  assert.equal(status, "OCSP good");
  assert.deepEqual(asked, ["http://down.example/", RESPONDER]);
});

test("no configured responder at all is told as such, or accepted where that is wanted", async () => {
  const refused = await checkDeviceStatus(PATH, options({ useCertificatesOwn: false }));
  assert.ok(typeof refused !== "string" && refused.message.endsWith("none is configured"));
  assert.equal(
    await checkDeviceStatus(PATH, options({ useCertificatesOwn: false, onNoAnswer: "accept" })),
    "OCSP unavailable",
  );
});

test("an answer is good until its nextUpdate and the tolerance have passed, by the gateway's clock", async () => {
  const life = 12 * 3600_000;
  for (const [late, expected] of [
    [life + 300_000, "OCSP good"],
    [life + 300_001, "NoValidOcspResponse"],
  ] as const) {
    const status = await checkDeviceStatus(PATH, options({ clock: { now: () => START + late } }));
    assert.equal(typeof status === "string" ? status : status.reason, expected);
  }
});

function options(changes: Partial<DeviceStatusOptions> = {}): DeviceStatusOptions {
  return {
    urls: [],
    useCertificatesOwn: true,
    onNoAnswer: "refuse",
    tolerance: 300_000,
    maxAge: 3600_000,
    allowWeakAlgorithms: false,
    clock: { now: () => START },
    fetch: async (_url, request) => answer(request),
    ...changes,
  };
}

function answer(request: Bytes): Bytes {
  return new OcspResponder(credentials.pki, { now: () => START }).answer(request).der;
}
