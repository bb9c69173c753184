/**
 * A trusted environment in software: reads its folder once and lets nothing out but answers.
 *
 * DIR/identity.chain.pem and DIR/identity.key.pem (key, mode 0600), DIR/roots/*.pem, where some answer for CAs that did not
 * delegate to them DIR/responders/*.pem, and where secure boot is on DIR/manifest.json with DIR/manifest.pub.pem.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Bytes, copyOf } from "../bytes/bytes.ts";
import { DecodeError } from "../bytes/reader.ts";
import type { Random } from "../sim/environment.ts";
import { systemEnvironment } from "../sim/system.ts";
import { type Certificate, parseCertificate } from "../x509/certificate.ts";
import { fromPem } from "../x509/pem.ts";
import { AskedStatus, type AskingPolicy } from "./askedStatus.ts";
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
  StatusRequest,
  StatusVerdict,
  TrustedEnvironment,
  VerifiedPathId,
} from "./trustedEnvironment.ts";

/** A TrE folder that cannot be used, with what is wrong in it. */
export class TreError extends Error {
  override readonly name = "TreError";
}

/** The part of the policy that is the operator's; roots and trust stay inside. */
export interface TrePolicy extends Omit<VerifierPolicy, "roots" | "trustedResponders" | "checkServerName" | "maxPath"> {
  /** How the status of gateways is asked for, where it is (`askedOcsp`). */
  asking?: AskingPolicy;
}

export class SoftwareTre implements TrustedEnvironment {
  readonly #directory: string;
  readonly #filesRoot: string;
  readonly #chain: readonly Certificate[];
  readonly #key: KeyObject;
  readonly #fqdn: string;
  readonly #policy: VerifierPolicy;
  readonly #random: Random;
  readonly #asked: AskedStatus;
  #measured: Omit<IntegrityStatement, "nonce"> | undefined;

  /** Opens a TrE folder; `filesRoot` is where the manifest's files lie. Throws TreError. */
  constructor(directory: string, filesRoot: string, policy: TrePolicy, random: Random = systemEnvironment.random) {
    this.#random = random;
    this.#directory = directory;
    this.#filesRoot = filesRoot;
    const chainFile = join(directory, "identity.chain.pem");
    this.#chain = readCertificates(chainFile, "the device's certificate, then the CAs above it without the root");
    // TS 33.320 7.2.4-1: a device never sends more than four.
    if (this.#chain.length > MAX_PATH)
      throw new TreError(`${chainFile} holds ${this.#chain.length} certificates, at most ${MAX_PATH} may be sent`);
    const leaf = this.#chain[0]!;
    this.#fqdn = fqdnOf(leaf, chainFile);
    this.#key = readPrivateKey(join(directory, "identity.key.pem"), leaf, chainFile);
    // TS 33.320 7.2.3-2: four received.
    this.#policy = {
      ...policy,
      roots: readRoots(directory),
      trustedResponders: readResponders(directory),
      checkServerName: true,
      maxPath: MAX_PATH,
    };
    this.#asked = new AskedStatus(this.#policy, policy.asking ?? DEFAULT_ASKING, random);
  }

  async verifyIntegrity(): Promise<Integrity> {
    try {
      const manifest = readText(join(this.#directory, "manifest.json"), "the manifest that the manufacturer signed");
      const key = readPublicKey(join(this.#directory, "manifest.pub.pem"));
      const integrity = checkManifest(manifest, key, (path) => readMeasured(join(this.#filesRoot, path)));
      this.#measured = {
        intact: integrity.intact,
        measuredAt: this.#policy.clock.now(),
        manifestDigest: createHash("sha256").update(manifest).digest(),
      };
      return integrity;
    } catch (error) {
      if (!(error instanceof TreError)) throw error;
      // What cannot be checked is not intact (TS 33.320 A.1-1).
      return { intact: false, problems: [error.message] };
    }
  }

  async identity(): Promise<{ idType: number; idData: Bytes; fqdn: string }> {
    return { ...fqdnIdentity(this.#fqdn), fqdn: this.#fqdn };
  }

  async certificates(): Promise<readonly Bytes[]> {
    // Copies: nobody outside can change what stands in here (TS 33.320 7.2.2-9).
    return this.#chain.map((certificate) => copyOf(certificate.der));
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
    const { path, names, ocsp, status } = verdict.verified;
    const evidence = { path: path.map((certificate) => certificate.subject.toString()), ocsp, names };
    return { valid: true, evidence, path: this.#asked.keep(path), status };
  }

  async statusRequest(path: VerifiedPathId, certificate: number): Promise<StatusRequest> {
    return this.#asked.request(path, certificate);
  }

  async judgeStatus(path: VerifiedPathId, certificate: number, response: Bytes): Promise<StatusVerdict> {
    return this.#asked.judge(path, certificate, response);
  }
}

/** The roots above gateways' certificates. */
export function readRoots(directory: string): Certificate[] {
  return readSome(join(directory, "roots"), "the certificates of the root CAs trusted for gateways");
}

/** The roots above H(e)MSs' certificates: their own where there are any. */
export function readTlsRoots(directory: string): Certificate[] {
  const folder = join(directory, existsSync(join(directory, "tls-roots")) ? "tls-roots" : "roots");
  return readSome(folder, "the certificates of the root CAs trusted for the H(e)MS");
}

/** OCSP responders that the operator trusts besides those that a CA delegates to (RFC 6960 2.6, RFC 4806 3.1); often none. */
export function readResponders(directory: string): Certificate[] {
  const folder = join(directory, "responders");
  return existsSync(folder) ? readFolder(folder, "the certificates of OCSP responders trusted for every CA") : [];
}

function readSome(folder: string, what: string): Certificate[] {
  const certificates = readFolder(folder, what);
  if (certificates.length > 0) return certificates;
  throw new TreError(`${folder} holds no *.pem: put there ${what} as *.pem; without one nobody can be trusted`);
}

function readFolder(folder: string, what: string): Certificate[] {
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => name.endsWith(".pem"));
  } catch (error) {
    throw new TreError(`${folder} cannot be read (${codeOf(error)}): make it, and put there ${what} as *.pem`);
  }
  return names.flatMap((name) => readCertificates(join(folder, name), what));
}

export function readCertificates(file: string, what: string): Certificate[] {
  const ders = fromPem(readText(file, what), "CERTIFICATE");
  if (ders.length === 0) throw new TreError(`${file} holds no PEM certificate: put there ${what}`);
  try {
    return ders.map((der) => parseCertificate(der));
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    throw new TreError(`${file} holds a certificate that cannot be read (${error.message}): put there ${what}`);
  }
}

/** The permanent identity (TS 33.320 5.2-5, 7.2.5.2.1-2). */
function fqdnOf(leaf: Certificate, chainFile: string): string {
  const fqdn = leaf.extensions.subjectAltName?.dns[0];
  if (fqdn === undefined)
    throw new TreError(
      `the first certificate in ${chainFile}, of "${leaf.subject}", has no FQDN in subjectAltName (TS 33.320 7.2.5.2.1): have the device's certificate issued with its identity, and put it first`,
    );
  return fqdn;
}

export function readPrivateKey(file: string, leaf: Certificate, chainFile: string): KeyObject {
  const pem = readText(file, "the device's private key");
  let key: KeyObject;
  let publicKey: KeyObject;
  try {
    key = createPrivateKey(pem);
    publicKey = createPublicKey(key);
  } catch {
    // Not a word of what OpenSSL says: it may be about what the file holds.
    throw new TreError(`${file} holds no private key that can be read: write it as PEM, PKCS #8 without a passphrase`);
  }
  if (leaf.publicKey?.equals(publicKey) !== true)
    throw new TreError(
      `${file} is not the key of the first certificate in ${chainFile}, of "${leaf.subject}": put the two there that belong together`,
    );
  return key;
}

function readPublicKey(file: string): KeyObject {
  const what = "the public key that the manufacturer signs manifests with";
  const pem = readText(file, what);
  try {
    return createPublicKey(pem);
  } catch {
    throw new TreError(`${file} holds no public key that can be read: put there ${what}, as PEM`);
  }
}

function readText(file: string, what: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new TreError(`${file} cannot be read (${codeOf(error)}): put there ${what}`);
  }
}

/** A regular file's octets: reading a pipe or a device might never end. */
function readMeasured(file: string): Bytes | undefined {
  try {
    return statSync(file).isFile() ? readFileSync(file) : undefined;
  } catch {
    return undefined;
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}

const DEFAULT_ASKING: AskingPolicy = { nonce: "optional", hash: "sha1" };
const MAX_PATH = 4;
/** Octets. */
const INTEGRITY_NONCE = 16;
