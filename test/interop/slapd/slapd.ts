/** OpenLDAP's slapd with one CA's entry in it. */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Bytes } from "../../../src/bytes/bytes.ts";
import { Daemon } from "../daemon.ts";

export const CA_DN = "cn=Device CA,o=Vendor";

export class Slapd implements AsyncDisposable {
  readonly #daemon: Daemon;

  private constructor(daemon: Daemon) {
    this.#daemon = daemon;
  }

  /** Serves the entry of `CA_DN` with this CRL (RFC 4523), to everybody. */
  static async start(crl: Bytes): Promise<Slapd> {
    const daemon = await Daemon.start({
      name: "slapd",
      prepare({ folder, port, pidFile }) {
        const config = join(folder, "slapd.conf");
        mkdirSync(join(folder, "db"));
        writeFileSync(config, configuration(folder, pidFile));
        const entries = join(folder, "entries.ldif");
        writeFileSync(entries, ldif(crl));
        execFileSync("slapadd", ["-q", "-f", config, "-l", entries], { env: { ...process.env, PATH: SYSTEM_PATH } });
        return { command: "slapd", args: ["-f", config, "-h", `ldap://127.0.0.1:${port}/`, "-d", "0"] };
      },
    });
    return new Slapd(daemon);
  }

  get port(): number {
    return this.#daemon.port;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#daemon[Symbol.asyncDispose]();
  }
}

function configuration(folder: string, pidFile: string): string {
  return `
include /etc/ldap/schema/core.schema
pidfile ${pidFile}
database ldif
suffix "o=Vendor"
directory ${join(folder, "db")}
access to * by * read
`;
}

function ldif(crl: Bytes): string {
  return `dn: o=Vendor
objectClass: organization
o: Vendor

dn: ${CA_DN}
objectClass: applicationProcess
objectClass: pkiCA
cn: Device CA
certificateRevocationList;binary:: ${crl.toString("base64")}

dn: cn=Without,o=Vendor
objectClass: applicationProcess
cn: Without
`;
}

/** Debian keeps daemons where an ordinary user's PATH does not look. */
const SYSTEM_PATH = `${process.env.PATH}:/usr/sbin:/sbin`;
