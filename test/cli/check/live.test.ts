import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import test from "node:test";
import { createServer, type TlsOptions } from "node:tls";
import { extendedKeyUsage, keyIdOf, keyUsage, subjectAltName } from "../../../src/x509/build.ts";
import { buildOcspResponse, certIdOf } from "../../../src/x509/ocsp.ts";
import { Oid } from "../../../src/x509/oids.ts";
import { toPem } from "../../../src/x509/pem.ts";
import { DAY, make, NOW } from "../../x509/made.ts";
import { CheckFolder, check, checkJson } from "./run.ts";

const root = make({ name: "Operator Root" });
const ca = make({ name: "H(e)MS CA", issuer: root });
const hems = make({
  name: "127.0.0.1",
  serial: Buffer.alloc(16, 0x31),
  issuer: ca,
  extensions: [
    keyUsage("digitalSignature"),
    extendedKeyUsage(Oid.serverAuth),
    subjectAltName({ ip: [Buffer.of(127, 0, 0, 1)] }),
  ],
});
const TIME = ["--time", new Date(NOW).toISOString()];

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  test(`a live ${version} server is judged by what it shows, its stapled OCSP response with it`, async () => {
    using folder = new CheckFolder();
    const trust = ["--trust", folder.writeCertificates("root.pem", root.certificate)];
    await using server = await Server.start({ minVersion: version, maxVersion: version });
    const { status, report } = await checkJson(server.url, ...trust, "--name", "127.0.0.1", ...TIME);
    assert.equal(status, 0);
    assert.deepEqual(
      report.certificates.map(({ profile, from }) => [profile, from]),
      [
        ["root-ca", "root.pem #1"],
        ["tls-ca", server.url],
        ["hems", server.url],
      ],
    );
    assert.equal(report.ends[0]!.statuses[0]!.evidence[0]!.origin, `${server.url} stapled`);
  });
}

test("a server that nobody answers for, or that wants a certificate, leaves it undetermined and says why", async () => {
  await using server = await Server.start({ requestCert: true, maxVersion: "TLSv1.2", rejectUnauthorized: true });
  const gone = await Server.start({});
  await gone[Symbol.asyncDispose]();
  for (const [url, complaint] of [
    [gone.url, /ECONNREFUSED/],
    [server.url, /--cert and --key/],
  ] as const) {
    const ran = await check(url, ...TIME);
    assert.equal(ran.status, 3);
    assert.match(ran.complaint, complaint);
  }
});

class Server implements AsyncDisposable {
  readonly url: string;
  readonly #server: ReturnType<typeof createServer>;

  static async start(options: TlsOptions): Promise<Server> {
    const server = createServer({
      key: hems.keys.privateKey.export({ format: "pem", type: "pkcs8" }),
      cert: [hems, ca].map(({ certificate }) => toPem("CERTIFICATE", certificate.der)).join(""),
      ...options,
    });
    server.on("OCSPRequest", (_certificate, _issuer, answer) => answer(null, STAPLE));
    server.on("tlsClientError", () => undefined);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new Server(server);
  }

  private constructor(server: ReturnType<typeof createServer>) {
    this.#server = server;
    this.url = `tls://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

const STAPLE = buildOcspResponse({
  responderId: { byKey: keyIdOf(ca.keys.publicKey) },
  producedAt: NOW,
  responses: [
    {
      id: certIdOf(hems.certificate, ca.certificate),
      status: { kind: "good" },
      thisUpdate: NOW,
      nextUpdate: NOW + DAY,
    },
  ],
  nonce: undefined,
  certificates: [],
  signer: ca.signer,
});
