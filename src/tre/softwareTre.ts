/**
 * A trusted environment in software: reads its folder once and lets nothing out but answers.
 *
 * DIR/identity.chain.pem and DIR/identity.key.pem (key, mode 0600), DIR/roots/*.pem, and where secure boot is on
 * DIR/manifest.json with DIR/manifest.pub.pem.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve, sep } from "node:path";
import type { Bytes } from "../bytes/bytes.ts";
import type { Random } from "../sim/environment.ts";
import { systemEnvironment } from "../sim/system.ts";
import { type Certificate, parseCertificate } from "../x509/certificate.ts";
import { fromPem } from "../x509/pem.ts";
import { signAuth } from "./authSignature.ts";
import { fqdnIdentity } from "./identity.ts";
import { checkManifest } from "./integrity.ts";
import { type IntegrityStatement, signIntegrityReport } from "./integrityReport.ts";
import { type VerifierPolicy, verifyCredentials } from "./peerVerifier.ts";
import type {
  AuthAnswer,
  AuthRequest,
  Integrity,
  PeerCredentials,
  PeerVerdict,
  TrustedEnvironment,
} from "./trustedEnvironment.ts";

/** A TrE folder that cannot be used, with what is wrong in it. */
export class TreError extends Error {
  override readonly name = "TreError";
}

/** The part of the policy that is the operator's; roots and trust stay inside. */
export type TrePolicy = Omit<VerifierPolicy, "roots" | "checkServerName" | "maxPath">;

export class SoftwareTre implements TrustedEnvironment {
  readonly #directory: string;
  readonly #filesRoot: string;
  readonly #chain: readonly Certificate[];
  readonly #key: KeyObject;
  readonly #policy: VerifierPolicy;
  readonly #random: Random;
  #measured: Omit<IntegrityStatement, "nonce"> | undefined;

  /** Opens a TrE folder; `filesRoot` is where the manifest's files lie. Throws TreError. */
  constructor(directory: string, filesRoot: string, policy: TrePolicy, random: Random = systemEnvironment.random) {
    this.#random = random;
    this.#directory = directory;
    this.#filesRoot = filesRoot;
    this.#chain = readCertificates(join(directory, "identity.chain.pem"));
    this.#key = createPrivateKey(readText(join(directory, "identity.key.pem")));
    const folder = join(directory, "roots");
    const roots = listDirectory(folder).flatMap((file) => readCertificates(join(folder, file)));
    if (roots.length === 0)
      throw new TreError(`${folder} holds no root certificate: without one no gateway can be trusted`);
    // TS 33.320 7.2.3-1 and -2: four, sent or received.
    if (this.#chain.length > MAX_PATH)
      throw new TreError(
        `identity.chain.pem holds ${this.#chain.length} certificates, at most ${MAX_PATH} may be sent`,
      );
    this.#policy = { ...policy, roots, checkServerName: true, maxPath: MAX_PATH };
  }

  async verifyIntegrity(): Promise<Integrity> {
    const manifest = join(this.#directory, "manifest.json");
    if (!existsSync(manifest)) return { intact: false, problems: ["the TrE holds no manifest"] };
    const key = createPublicKey(readText(join(this.#directory, "manifest.pub.pem")));
    const root = resolve(this.#filesRoot);
    const text = readText(manifest);
    const integrity = checkManifest(text, key, (path) => {
      const file = resolve(root, path);
      return file.startsWith(root + sep) && existsSync(file) ? readFileSync(file) : undefined;
    });
    this.#measured = {
      intact: integrity.intact,
      measuredAt: this.#policy.clock.now(),
      manifestDigest: createHash("sha256").update(text).digest(),
    };
    return integrity;
  }

  async identity(): Promise<{ idType: number; idData: Bytes; fqdn: string }> {
    const fqdn = this.#chain[0]?.extensions.subjectAltName?.dns[0];
    if (fqdn === undefined)
      throw new TreError("the device certificate names no FQDN in subjectAltName (TS 33.320 7.2.5.2.1)");
    return { ...fqdnIdentity(fqdn), fqdn };
  }

  async certificates(): Promise<readonly Bytes[]> {
    return this.#chain.map((certificate) => certificate.der);
  }

  async rootKeyHashes(): Promise<readonly Bytes[]> {
    return this.#policy.roots.map((root) => root.keyHash);
  }

  async ocspResponderHashes(): Promise<readonly Bytes[]> {
    return this.#policy.trustedResponders.map((responder) => responder.keyHash);
  }

  async integrityReport(binding: Bytes): Promise<Bytes> {
    const measured = this.#measured;
    if (measured === undefined) throw new TreError("nothing was measured yet: verifyIntegrity comes first");
    return signIntegrityReport({ ...measured, nonce: this.#random.bytes(INTEGRITY_NONCE) }, binding, this.#key);
  }

  async computeAuth(request: AuthRequest): Promise<AuthAnswer> {
    return signAuth(this.#key, request.octets, request.peerHashes);
  }

  async verifyPeer(credentials: PeerCredentials): Promise<PeerVerdict> {
    const verdict = verifyCredentials(credentials, this.#policy);
    if (!verdict.valid) return verdict;
    const { path, names, ocsp } = verdict.verified;
    return { valid: true, evidence: { path: path.map((certificate) => certificate.subject.toString()), ocsp, names } };
  }
}

function readCertificates(file: string): Certificate[] {
  const ders = fromPem(readText(file), "CERTIFICATE");
  if (ders.length === 0) throw new TreError(`${file} holds no PEM certificate`);
  return ders.map((der) => parseCertificate(der));
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new TreError(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function listDirectory(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith(".pem"));
  } catch {
    throw new TreError(`${folder} cannot be read; it holds the trusted roots as *.pem`);
  }
}

const MAX_PATH = 4;
/** Octets. */
const INTEGRITY_NONCE = 16;
