/**
 * A small PKI in one folder: operator and manufacturer roots, their issuing CAs and delegated OCSP signers, and what
 * they issued and revoked (TS 33.310 6.1, TS 33.320 7.2.5.2).
 *
 * State lives in SQLite with full synchronisation: a certificate or revocation is on disk before it is acknowledged.
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Bytes } from "../bytes/bytes.ts";
import { parseIp } from "../bytes/ip.ts";
import type { Clock, Random } from "../sim/environment.ts";
import {
  authorityInfoAccess,
  authorityKeyIdentifier,
  basicConstraints,
  buildCertificate,
  buildCrl,
  crlDistributionPoint,
  extendedKeyUsage,
  keyIdOf,
  keyUsage,
  type NewExtension,
  ocspNoCheck,
  subjectAltName,
  subjectKeyIdentifier,
} from "../x509/build.ts";
import { type Certificate, parseCertificate } from "../x509/certificate.ts";
import { makeName } from "../x509/name.ts";
import { Oid } from "../x509/oids.ts";
import { fromPem, toPem } from "../x509/pem.ts";
import { type Signer, signerOf } from "../x509/signature.ts";
import { IssuedCertificates } from "./issuedCertificates.ts";

export const KEY_KINDS = ["rsa-2048", "rsa-3072", "p-256", "p-384"] as const;
export type KeyKind = (typeof KEY_KINDS)[number];

/** The CAs that `init` makes: two hierarchies that share nothing (TS 33.320 7.2.2-2, 7.2.2-3). */
export const CA_NAMES = ["operator-root", "segw-ca", "manufacturer-root", "device-ca"] as const;
export type CaName = (typeof CA_NAMES)[number];

export const PROFILES = ["segw", "henb"] as const;
export type Profile = (typeof PROFILES)[number];

/** CRLReason (RFC 5280 5.3.1) by name; `unspecified` is left out of CRLs. */
export const REVOCATION_REASONS = {
  unspecified: 0,
  keyCompromise: 1,
  cACompromise: 2,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  certificateHold: 6,
  privilegeWithdrawn: 9,
} as const;
export type RevocationReason = keyof typeof REVOCATION_REASONS;

/** Something about the PKI that a person has to put right. */
export class PkiError extends Error {
  override readonly name = "PkiError";
}

export interface PkiEnvironment {
  clock: Clock;
  random: Random;
}

export interface PkiOptions {
  keys: KeyKind;
  /** Organisation of the operator and of the manufacturer in CA names. */
  operator: string;
  manufacturer: string;
  /** Base URLs put into certificates; undefined puts none (TS 33.320 7.2.5.2.1-3, -4). */
  ocspUrl: string | undefined;
  crlUrl: string | undefined;
}

export const PKI_DEFAULTS: PkiOptions = {
  keys: "p-256",
  operator: "Operator",
  manufacturer: "Manufacturer",
  ocspUrl: undefined,
  crlUrl: undefined,
};

export interface IssueRequest {
  profile: Profile;
  /** FQDNs for subjectAltName; the first is the identity and the common name (TS 33.320 7.2.5.2.1-2). */
  dns: readonly string[];
  ip?: readonly string[];
  keys?: KeyKind;
  /** Milliseconds since 1970. */
  notBefore?: number;
  notAfter?: number;
  /** Issuing CAs put between the usual one and this certificate, to make longer paths. */
  extraCas?: number;
}

export interface Issued {
  certificate: Certificate;
  /** End entity first, without the root. */
  chain: readonly Certificate[];
  key: KeyObject;
}

interface Authority {
  name: string;
  certificate: Certificate;
  key: KeyObject;
  signer: Signer;
}

export interface OcspSigner {
  issuer: Certificate;
  certificate: Certificate;
  signer: Signer;
  ca: CaName;
}

export class Pki {
  readonly directory: string;
  readonly #environment: PkiEnvironment;
  readonly #options: PkiOptions;
  readonly #authorities = new Map<CaName, Authority>();
  readonly #signers = new Map<CaName, OcspSigner>();
  readonly #issued: IssuedCertificates;

  private constructor(directory: string, environment: PkiEnvironment, options: PkiOptions) {
    this.directory = directory;
    this.#environment = environment;
    this.#options = options;
    this.#issued = new IssuedCertificates(join(directory, "pki.sqlite"));
  }

  /** Makes roots, CAs and OCSP signers in an empty or new folder. Throws PkiError if there is a PKI already. */
  static create(directory: string, environment: PkiEnvironment, options: Partial<PkiOptions> = {}): Pki {
    if (existsSync(join(directory, "pki.sqlite")))
      throw new PkiError(`${directory} holds a PKI already; choose another folder or remove it`);
    mkdirSync(join(directory, "ca"), { recursive: true, mode: 0o700 });
    const full = { ...PKI_DEFAULTS, ...options };
    const pki = new Pki(directory, environment, full);
    pki.#issued.setOptions(full);
    pki.#makeRoot("operator-root", full.operator, "Root CA");
    pki.#makeCa("segw-ca", "operator-root", full.operator, "SeGW CA");
    pki.#makeRoot("manufacturer-root", full.manufacturer, "Root CA");
    pki.#makeCa("device-ca", "manufacturer-root", full.manufacturer, "H(e)NB CA");
    for (const ca of CA_NAMES) pki.#makeOcspSigner(ca);
    return pki;
  }

  /** Opens a folder that `create` made. Throws PkiError. */
  static open(directory: string, environment: PkiEnvironment): Pki {
    if (!existsSync(join(directory, "pki.sqlite")))
      throw new PkiError(`${directory} holds no PKI; make one with: femtogate pki init ${directory}`);
    const options = IssuedCertificates.readOptions(join(directory, "pki.sqlite"));
    const pki = new Pki(directory, environment, { ...PKI_DEFAULTS, ...options });
    for (const ca of CA_NAMES) {
      pki.#authorities.set(ca, pki.#load(ca));
      const signer = pki.#load(`${ca}-ocsp`);
      pki.#signers.set(ca, { ca, issuer: pki.ca(ca), certificate: signer.certificate, signer: signer.signer });
    }
    return pki;
  }

  ca(name: CaName): Certificate {
    return this.#authority(name).certificate;
  }

  /** PEM file of a CA's certificate. */
  caFile(name: CaName): string {
    return join(this.directory, "ca", `${name}.crt.pem`);
  }

  ocspSigners(): readonly OcspSigner[] {
    return [...this.#signers.values()];
  }

  issue(request: IssueRequest): Issued {
    const [identity] = request.dns;
    if (identity === undefined) throw new PkiError("a certificate needs a name: give an FQDN");
    const issuing: CaName = request.profile === "segw" ? "segw-ca" : "device-ca";
    const { operator, manufacturer } = this.#options;
    const organisation = request.profile === "segw" ? operator : manufacturer;
    let issuer = this.#authority(issuing);
    const above = [issuer.certificate];
    for (let i = 1; i <= (request.extraCas ?? 0); i++) {
      issuer = this.#sign({
        subject: [organisation, `Issuing CA ${i}`],
        issuer,
        keys: this.#options.keys,
        years: 5,
        extensions: caExtensions(undefined),
      });
      above.unshift(issuer.certificate);
    }
    const ip = (request.ip ?? []).map((text) => parseIp(text) ?? refuse(`"${text}" is no IP address`));
    const made = this.#sign({
      subject: [organisation, identity],
      issuer,
      keys: request.keys ?? this.#options.keys,
      notBefore: request.notBefore,
      notAfter: request.notAfter,
      years: 2,
      extensions: [
        basicConstraints(false),
        // TS 33.310 6.1.3b: critical, digitalSignature; RFC 4945 5.1.3.12 for the purpose.
        keyUsage("digitalSignature"),
        extendedKeyUsage(Oid.ipsecIke),
        subjectAltName({ dns: request.dns, ip }),
        ...this.#revocationPointers(issuing),
      ],
    });
    this.#issued.add(issuing, made.certificate, this.#environment.clock.now());
    return { certificate: made.certificate, chain: [made.certificate, ...above], key: made.key };
  }

  /** Writes certificate, chain and key (mode 0600) beside each other; gives their paths. */
  writeFiles(issued: Issued, prefix: string): { certificate: string; chain: string; key: string } {
    const files = { certificate: `${prefix}.crt.pem`, chain: `${prefix}.chain.pem`, key: `${prefix}.key.pem` };
    writeFileSync(files.certificate, toPem("CERTIFICATE", issued.certificate.der));
    writeFileSync(files.chain, issued.chain.map((certificate) => toPem("CERTIFICATE", certificate.der)).join(""));
    writeKey(files.key, issued.key);
    return files;
  }

  /** Revokes an issued certificate; on disk when this returns. Throws PkiError for a serial that was never issued. */
  revoke(serial: Bytes, reason: RevocationReason = "unspecified"): void {
    const changed = this.#issued.revoke(serial, this.#environment.clock.now(), REVOCATION_REASONS[reason]);
    if (!changed)
      throw new PkiError(
        `no certificate with serial ${serial.toString("hex")} was issued here, or it is revoked already`,
      );
  }

  list(): ReturnType<IssuedCertificates["all"]> {
    return this.#issued.all();
  }

  /** Status of a serial under one of the CAs, for OCSP. */
  status(ca: CaName, serial: Bytes): ReturnType<IssuedCertificates["status"]> {
    return this.#issued.status(ca, serial);
  }

  /** Counts up with every revocation, so that cached responses know when they are outdated. */
  get revision(): number {
    return this.#issued.revision;
  }

  /** A fresh complete CRL, DER. */
  crl(ca: CaName, life: number = CRL_LIFE): Bytes {
    const authority = this.#authority(ca);
    const now = this.#environment.clock.now();
    return buildCrl({
      issuer: authority.certificate.subject,
      thisUpdate: now,
      nextUpdate: now + life,
      number: this.#issued.nextCrlNumber(ca),
      entries: this.#issued.revoked(ca),
      authorityKeyId: authority.certificate.extensions.subjectKeyId!,
      signer: authority.signer,
    });
  }

  close(): void {
    this.#issued.close();
  }

  #makeRoot(name: CaName, organisation: string, commonName: string): void {
    this.#keep(
      name,
      this.#sign({
        subject: [organisation, commonName],
        issuer: undefined,
        keys: this.#options.keys,
        years: 20,
        extensions: caExtensions(undefined),
      }),
    );
  }

  #makeCa(name: CaName, issuer: CaName, organisation: string, commonName: string): void {
    const extensions = [...caExtensions(undefined), ...this.#revocationPointers(issuer)];
    const made = this.#sign({
      subject: [organisation, commonName],
      issuer: this.#authority(issuer),
      keys: this.#options.keys,
      years: 10,
      extensions,
    });
    this.#issued.add(issuer, made.certificate, this.#environment.clock.now());
    this.#keep(name, made);
  }

  /** P-256 whatever the CA's own keys: it signs eight times as fast as RSA-2048 (RFC 6960 2.6 delegation). */
  #makeOcspSigner(ca: CaName): void {
    const issuer = this.#authority(ca);
    const organisation = issuer.certificate.subject.attributes.find((a) => a.type === Oid.organization)?.value ?? "";
    const extensions = [
      basicConstraints(false),
      keyUsage("digitalSignature"),
      extendedKeyUsage(Oid.ocspSigning),
      ocspNoCheck(),
    ];
    const made = this.#sign({
      subject: [organisation, `OCSP signer of ${issuer.certificate.subject.commonName}`],
      issuer,
      keys: "p-256",
      years: 1,
      extensions,
    });
    this.#save(`${ca}-ocsp`, made);
    this.#signers.set(ca, { ca, issuer: issuer.certificate, certificate: made.certificate, signer: made.signer });
  }

  #sign(made: {
    subject: readonly [organisation: string, commonName: string];
    issuer: Authority | undefined;
    keys: KeyKind;
    notBefore?: number | undefined;
    notAfter?: number | undefined;
    years: number;
    extensions: readonly NewExtension[];
  }): Authority {
    const { publicKey, privateKey } = generateKeys(made.keys);
    const now = this.#environment.clock.now();
    const subject = makeName([
      { type: Oid.organization, value: made.subject[0] },
      { type: Oid.commonName, value: made.subject[1] },
    ]);
    const signer = made.issuer?.signer ?? signerOf(privateKey);
    const der = buildCertificate({
      serial: this.#serial(),
      issuer: made.issuer?.certificate.subject ?? subject,
      subject,
      // An hour back: devices' clocks are not exact.
      notBefore: made.notBefore ?? now - 3600_000,
      notAfter: made.notAfter ?? now + made.years * YEAR,
      publicKey,
      extensions: [
        ...made.extensions,
        subjectKeyIdentifier(keyIdOf(publicKey)),
        authorityKeyIdentifier(made.issuer?.certificate.extensions.subjectKeyId ?? keyIdOf(publicKey)),
      ],
      signer,
    });
    return { name: made.subject[1], certificate: parseCertificate(der), key: privateKey, signer: signerOf(privateKey) };
  }

  /** TS 33.320 7.2.5.2.1-3 and -4: pointers only where a server is configured. */
  #revocationPointers(ca: CaName): NewExtension[] {
    const { ocspUrl, crlUrl } = this.#options;
    return [
      ...(crlUrl === undefined ? [] : [crlDistributionPoint(`${crlUrl}/${ca}.crl`)]),
      ...(ocspUrl === undefined ? [] : [authorityInfoAccess({ ocsp: ocspUrl })]),
    ];
  }

  /** 127 random bits, positive (RFC 5280 4.1.2.2, TS 33.310 C10). */
  #serial(): Bytes {
    const serial = Buffer.from(this.#environment.random.bytes(16));
    serial[0] = (serial[0]! & 0x7f) | 0x40;
    return serial;
  }

  #keep(name: CaName, authority: Authority): void {
    this.#save(name, authority);
    this.#authorities.set(name, authority);
  }

  #save(name: string, { certificate, key }: Authority): void {
    writeFileSync(join(this.directory, "ca", `${name}.crt.pem`), toPem("CERTIFICATE", certificate.der));
    writeKey(join(this.directory, "ca", `${name}.key.pem`), key);
  }

  #load(name: string): Authority {
    const path = join(this.directory, "ca", name);
    const [der] = fromPem(readFileSync(`${path}.crt.pem`, "utf8"), "CERTIFICATE");
    if (der === undefined) throw new PkiError(`${path}.crt.pem holds no certificate`);
    const key = createPrivateKey(readFileSync(`${path}.key.pem`, "utf8"));
    return { name, certificate: parseCertificate(der), key, signer: signerOf(key) };
  }

  #authority(name: CaName): Authority {
    const authority = this.#authorities.get(name);
    if (authority === undefined) throw new PkiError(`there is no CA "${name}"; there are ${CA_NAMES.join(", ")}`);
    return authority;
  }
}

function caExtensions(pathLength: number | undefined): NewExtension[] {
  return [basicConstraints(true, pathLength), keyUsage("keyCertSign", "cRLSign")];
}

function generateKeys(kind: KeyKind): { publicKey: KeyObject; privateKey: KeyObject } {
  if (kind === "rsa-2048" || kind === "rsa-3072")
    return generateKeyPairSync("rsa", { modulusLength: kind === "rsa-2048" ? 2048 : 3072, publicExponent: 65537 });
  return generateKeyPairSync("ec", { namedCurve: kind === "p-256" ? "P-256" : "P-384" });
}

function writeKey(path: string, key: KeyObject): void {
  writeFileSync(path, key.export({ format: "pem", type: "pkcs8" }), { mode: 0o600 });
}

function refuse(message: string): never {
  throw new PkiError(message);
}

const YEAR = 365 * 24 * 3600_000;
/** Milliseconds a CRL stays good. */
const CRL_LIFE = 24 * 3600_000;
