/** Certificates for TLS between test peers, valid now: one authority, any names. */
import { subjectAltName } from "../../src/x509/build.ts";
import { toPem } from "../../src/x509/pem.ts";
import { CA_EXTENSIONS, DAY, LEAF_EXTENSIONS, type Made, make } from "../x509/made.ts";

/** PEM texts. */
export interface Credentials {
  certificates: string;
  key: string;
  authorities: string;
}

export class TlsAuthority {
  readonly #ca: Made;
  readonly #validity = { notBefore: Date.now() - DAY, notAfter: Date.now() + DAY };

  constructor(name = "TLS CA") {
    this.#ca = make({ name, extensions: CA_EXTENSIONS, ...this.#validity });
  }

  get certificate(): string {
    return toPem("CERTIFICATE", this.#ca.certificate.der);
  }

  issue(...dns: readonly string[]): Credentials {
    const made = make({
      name: dns[0] ?? "nobody",
      issuer: this.#ca,
      extensions: LEAF_EXTENSIONS,
      more: [subjectAltName({ dns })],
      ...this.#validity,
    });
    return {
      certificates: toPem("CERTIFICATE", made.certificate.der),
      key: made.keys.privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
      authorities: this.certificate,
    };
  }
}
