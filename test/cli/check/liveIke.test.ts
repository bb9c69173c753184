import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import test from "node:test";
import { NonePlane } from "../../../src/esp/planes/none.ts";
import { ENDPOINT_DEFAULTS } from "../../../src/ike/endpoint.ts";
import { IkeService } from "../../../src/ipsec/ikeService.ts";
import { UdpPorts } from "../../../src/ipsec/udpPorts.ts";
import { Pki } from "../../../src/pki/authority.ts";
import { serveGateway } from "../../../src/segw/serve.ts";
import { systemEnvironment } from "../../../src/sim/system.ts";
import { signAuth } from "../../../src/tre/authSignature.ts";
import { fromPem } from "../../../src/x509/pem.ts";
import { connection } from "../../ike/sa/pair.ts";
import { KEY_MAKERS } from "../../x509/made.ts";
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

test("who shows a gateway's certificate without its key is invalid, whatever the certificate is", async () => {
  await using gateway = await Gateway.start();
  await using impostor = await Impostor.start(gateway.file("segw.chain.pem"));
  const { status, report } = await checkJson(impostor.url, ...gateway.device, "--trust", gateway.root);
  assert.equal(status, 1);
  assert.match(report.ends[0]!.reasons[0]!, /did not prove to hold its key/);
});

/** Answers IKE with somebody's certificates and a key of its own. */
class Impostor implements AsyncDisposable {
  readonly url: string;
  readonly #service: IkeService;

  static async start(chain: string): Promise<Impostor> {
    const { clock, random, timers } = systemEnvironment;
    const { privateKey } = KEY_MAKERS["P-256"]();
    const certificates = fromPem(readFileSync(chain, "utf8"), "CERTIFICATE");
    const service = new IkeService({
      endpoint: { ...ENDPOINT_DEFAULTS, clock, random, responder: connection("segw.example") },
      decisions: {
        computeAuth: ({ octets, peerHashes }) => ({
          ...signAuth(privateKey, octets, peerHashes),
          certificates,
          ocspResponses: [],
        }),
        verifyPeer: () => ({ evidence: { path: [], ocsp: "none", names: [] } }),
        assignAddress: () => ({ attributes: [], selectors: [] }),
      },
      timers,
      onEvent: () => undefined,
      onFault: (what, error) => assert.fail(`${what}: ${error}`),
    });
    const addresses = ["127.0.0.1"];
    const ports = await UdpPorts.open({
      addresses,
      ports: { ike: 0, natT: 0 },
      handler: service,
      onSendError: () => undefined,
    });
    service.connect(ports, new NonePlane((event) => service.onEvent(event)));
    return new Impostor(service, ports.bound[0]!.ike.port);
  }

  private constructor(service: IkeService, port: number) {
    this.#service = service;
    this.url = `ike://127.0.0.1:${port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#service.close(1000);
  }
}

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
    const pki = Pki.create(folder.path("pki"), systemEnvironment);
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

  file(name: string): string {
    return this.#folder.path(name);
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
