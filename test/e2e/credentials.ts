/**
 * A PKI in a temporary folder and what it issued, for the gateways and devices of simulations.
 *
 * Certificates are made once for a test file and used in every simulated world, which all begin at the same moment.
 */
import { generateKeyPairSync } from "node:crypto";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Issued, type IssueRequest, Pki } from "../../src/pki/authority.ts";
import type { GatewayCredentials } from "../../src/segw/gateway.ts";
import { seededRandom } from "../../src/sim/random.ts";
import { World } from "../../src/sim/world.ts";
import { signManifest } from "../../src/tre/integrity.ts";

/** When every simulated world begins. */
export const START = new World(0).now();
export const DAY = 24 * 3600_000;
export const SEGW = "segw.operator.example";
export const SEGW_ADDRESS = "192.0.2.1";
/** The responder that every certificate names. */
export const RESPONDER = "http://ocsp.example/";
/** Behind the gateway, and on the public network as well. */
export const RESPONDER_ADDRESS = "10.40.0.80";

export class Credentials implements Disposable {
  readonly pki: Pki;
  readonly #directory = mkdtempSync(join(tmpdir(), "femtogate-e2e-"));
  #folders = 0;

  /** `seed` tells the PKIs of one test apart: each has roots of its own under the same names. `now`: when all is issued. */
  constructor(seed = 1, now = START) {
    const environment = { clock: { now: () => now }, random: seededRandom(`credentials ${seed}`) };
    this.pki = Pki.create(join(this.#directory, "pki"), environment, { keys: "p-256", ocspUrl: RESPONDER });
  }

  issueGateway(changes: Partial<IssueRequest> = {}): Issued {
    return this.pki.issue({ profile: "segw", dns: [SEGW], ip: [SEGW_ADDRESS], ...changes });
  }

  issueDevice(fqdn: string, changes: Partial<IssueRequest> = {}): Issued {
    return this.pki.issue({ profile: "henb", dns: [fqdn], ...changes });
  }

  /** What a gateway with this certificate starts from. */
  gateway({ chain, key }: Issued = this.issueGateway()): GatewayCredentials {
    return {
      chain,
      key,
      ownRoots: [this.pki.ca("operator-root")],
      deviceRoots: [this.pki.ca("manufacturer-root")],
    };
  }

  /** A folder with `tre/` and `files/` as a device of that certificate has it; trusts the operator's root. */
  deviceFolder(issued: Issued): string {
    this.#folders += 1;
    const folder = join(this.#directory, `henb-${this.#folders}`);
    for (const path of ["tre/roots", "files"]) mkdirSync(join(folder, path), { recursive: true });
    this.pki.writeFiles(issued, join(folder, "tre", "identity"));
    copyFileSync(this.pki.caFile("operator-root"), join(folder, "tre", "roots", "operator-root.pem"));
    writeFileSync(join(folder, "files", "firmware.bin"), FIRMWARE);
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    writeFileSync(
      join(folder, "tre", "manifest.json"),
      signManifest(new Map([["firmware.bin", FIRMWARE]]), privateKey),
    );
    writeFileSync(join(folder, "tre", "manifest.pub.pem"), publicKey.export({ format: "pem", type: "spki" }));
    return folder;
  }

  [Symbol.dispose](): void {
    this.pki.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

const FIRMWARE = Buffer.from("firmware\n");
