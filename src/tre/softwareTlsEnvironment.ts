/**
 * TLS credentials of a trusted environment in software, from its folder: DIR/tls.chain.pem and DIR/tls.key.pem, else the
 * device's one certificate for IKEv2 and TLS (TS 33.320 8.3.3.1-5); DIR/tls-roots/*.pem, else DIR/roots/*.pem; DIR/responders/*.pem.
 *
 * What stays in: the file and the PEM text. What does not: OpenSSL holds the key in this process's memory to sign with,
 * and it is OpenSSL, not this, that verifies the H(e)MS's signature in the handshake.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createSecureContext, type SecureContext } from "node:tls";
import { copyOf } from "../bytes/bytes.ts";
import { TLS_PROFILE, type TLS_VERSIONS } from "../http/tlsProfile.ts";
import type { Certificate } from "../x509/certificate.ts";
import { toPem } from "../x509/pem.ts";
import type { InBandPolicy } from "./inBandStatus.ts";
import { readCertificates, readPrivateKey, readResponders, readTlsRoots, TreError } from "./softwareTre.ts";
import type { TlsEnvironment, TlsServerVerdict } from "./tlsEnvironment.ts";
import { type TlsPeerPolicy, type TlsServerCredentials, verifyTlsServer } from "./tlsPeer.ts";

/** The part of the policy that is the operator's. */
export type TlsPolicy = Omit<TlsPeerPolicy, "roots" | "maxPath"> &
  Omit<InBandPolicy, "inBandOcsp" | "trustedResponders"> & { minVersion: (typeof TLS_VERSIONS)[number] };

export class SoftwareTlsEnvironment implements TlsEnvironment {
  readonly #context: SecureContext;
  readonly #roots: readonly Certificate[];
  readonly #trustedResponders: readonly Certificate[];
  readonly #policy: TlsPolicy;

  /** Throws TreError for a folder that lacks something. */
  constructor(directory: string, policy: TlsPolicy) {
    this.#policy = policy;
    const own = existsSync(join(directory, "tls.chain.pem")) ? "tls" : "identity";
    const chainFile = join(directory, `${own}.chain.pem`);
    const chain = readCertificates(
      chainFile,
      "the device's certificate for TLS, then the CAs above it without the root",
    );
    if (chain.length > MAX_PATH)
      throw new TreError(`${chainFile} holds ${chain.length} certificates, at most ${MAX_PATH} may be sent`);
    this.#context = createSecureContext({
      ...TLS_PROFILE,
      minVersion: policy.minVersion,
      cert: chain.map(({ der }) => toPem("CERTIFICATE", der)).join(""),
      key: readPrivateKey(join(directory, `${own}.key.pem`), chain[0]!, chainFile).export({
        type: "pkcs8",
        format: "pem",
      }),
      // No roots of OpenSSL's own: it is not asked.
      ca: [],
    });
    this.#roots = readTlsRoots(directory);
    this.#trustedResponders = readResponders(directory);
  }

  async secureContext(): Promise<SecureContext> {
    return this.#context;
  }

  async verifyServer(credentials: TlsServerCredentials): Promise<TlsServerVerdict> {
    const verdict = verifyTlsServer(credentials, {
      ...this.#policy,
      roots: this.#roots,
      trustedResponders: this.#trustedResponders,
      maxPath: MAX_PATH,
    });
    if (!verdict.valid) return verdict;
    const { path, names, ocsp } = verdict;
    return { valid: true, evidence: { path: path.map(({ der }) => copyOf(der)), names, ocsp } };
  }
}

const MAX_PATH = 4;
