import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { copyFileSync, writeFileSync } from "node:fs";
import test from "node:test";
import { PKI_DEFAULTS, Pki } from "../../../src/pki/authority.ts";
import { serveGateway } from "../../../src/segw/serve.ts";
import { systemEnvironment } from "../../../src/sim/system.ts";
import { CheckFolder, check, checkJson } from "./run.ts";

test("a live gateway's certificate is judged by what it shows a device, and the device's attachment ends again", async () => {
  await using gateway = await Gateway.start();
  const { status, report } = await checkJson(
    gateway.url,
    ...gateway.device,
    "--trust",
    gateway.root,
    "--name",
    "segw.example",
  );
  assert.equal(status, 0, JSON.stringify(report));
  assert.deepEqual(
    report.certificates.map(({ subject, profile, from }) => [subject, profile, from]),
    [
      ["O=Operator, CN=Root CA", "root-ca", "operator-root.crt.pem #1"],
      ["O=Operator, CN=SeGW CA", "ne-ca", gateway.url],
      ["O=Operator, CN=segw.example", "segw", gateway.url],
    ],
  );
  assert.equal(gateway.ikeSas, 0);
});

test("a gateway that refuses the device leaves it undetermined and says why", async () => {
  await using gateway = await Gateway.start();
  const stranger = gateway.strangers;
  const refused = await check(gateway.url, ...stranger, "--trust", gateway.root);
  assert.equal(refused.status, 3);
  assert.match(refused.complaint, /AUTHENTICATION_FAILED.*it refuses the certificate given with --cert/);
});

class Gateway implements AsyncDisposable {
  readonly url: string;
  readonly root: string;
  /** Arguments that make us a device that the gateway knows, and one that it does not. */
  readonly device: string[];
  readonly strangers: string[];
  readonly #folder: CheckFolder;
  readonly #running: Awaited<ReturnType<typeof serveGateway>>;

  static async start(): Promise<Gateway> {
    const folder = new CheckFolder();
    const pki = Pki.create(folder.path("pki"), systemEnvironment, PKI_DEFAULTS);
    pki.writeFiles(pki.issue({ profile: "segw", dns: ["segw.example"] }), folder.path("segw"));
    pki.writeFiles(pki.issue({ profile: "henb", dns: ["ap-0001.example"] }), folder.path("device"));
    pki.writeFiles(pki.issue({ profile: "segw", dns: ["stranger.example"] }), folder.path("stranger"));
    for (const ca of ["operator-root", "manufacturer-root"] as const)
      copyFileSync(pki.caFile(ca), folder.path(`${ca}.crt.pem`));
    pki.close();
    const [ike, natT] = [await freePort(), await freePort()];
    const config = {
      name: "segw.example",
      listen: ["127.0.0.1"],
      ports: { ike, natT },
      credentials: { chain: "segw.chain.pem", key: "segw.key.pem", roots: ["operator-root.crt.pem"] },
      trust: { roots: ["manufacturer-root.crt.pem"] },
      ownStatus: { send: "off" },
      protected: ["10.0.0.0/8"],
      pool: { blocks: ["10.64.0.0/16"] },
      dataPlane: { kind: "none" },
    };
    writeFileSync(folder.path("segw.yaml"), JSON.stringify(config));
    const options = { write: () => undefined, capture: undefined };
    const running = await serveGateway(folder.path("segw.yaml"), systemEnvironment, options);
    return new Gateway(folder, running, { ike, natT });
  }

  private constructor(
    folder: CheckFolder,
    running: Awaited<ReturnType<typeof serveGateway>>,
    ports: { ike: number; natT: number },
  ) {
    this.#folder = folder;
    this.#running = running;
    this.url = `ike://127.0.0.1:${ports.ike}`;
    this.root = folder.path("operator-root.crt.pem");
    const as = (who: string) => [
      ...["--cert", folder.path(`${who}.chain.pem`), "--key", folder.path(`${who}.key.pem`)],
      ...["--nat-port", String(ports.natT)],
    ];
    this.device = as("device");
    this.strangers = as("stranger");
  }

  get ikeSas(): number {
    return this.#running.gateway.service.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running.stop();
    this.#folder[Symbol.dispose]();
  }
}

async function freePort(): Promise<number> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(resolve));
  return port;
}
