/**
 * A small PKI in one folder: operator and manufacturer roots, their issuing CAs and delegated OCSP signers, and what
 * they issued and revoked (TS 33.310 6.1, TS 33.320 7.2.5.2, 8.3.3).
 *
 * Keys and CA certificates are PEM files, so that other tools can use them; what was issued and revoked is in SQLite. A
 * folder is a PKI once the database says so: an `init` that died half-way left none, and may be run again.
 */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Bytes } from "../bytes/bytes.ts";
import { parseIp } from "../bytes/ip.ts";
import { fqdn } from "../config/fields.ts";
import type { Milliseconds } from "../sim/environment.ts";
import { subjectAltName } from "../x509/build.ts";
import type { Certificate } from "../x509/certificate.ts";
import { toPem } from "../x509/pem.ts";
import { AllowList } from "./allowList.ts";
import { Authorities, type Authority, type ForeignAuthority, type OcspSigner, signerName } from "./authorities.ts";
import { CaFolder, type KeyHolder, writeKeyFile } from "./caFolder.ts";
import { certify, KEY_KINDS, type KeyKind, type PkiEnvironment } from "./certify.ts";
import type { CrlKind, CrlScope } from "./crlArchive.ts";
import { CrlPublisher, type CurrentCrl } from "./crlPublisher.ts";
import { PkiDatabase } from "./database.ts";
import { PkiError } from "./error.ts";
import { checkOptions, type FullOptions, type PkiOptions } from "./options.ts";
import { endEntityExtensions, PROFILE_PLANS, type Profile } from "./profiles.ts";
import { type IssuedRow, type IssuedStatus, PkiStore } from "./store.ts";
import { writeWholeFile } from "./wholeFile.ts";

export { KEY_KINDS, type KeyKind };

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

export interface IssueRequest {
  profile: Profile;
  /** FQDNs for subjectAltName; the first is the identity and the common name (TS 33.320 7.2.5.2.1-2, 8.3.3.1-2, -3). */
  dns: readonly string[];
  ip?: readonly string[] | undefined;
  keys?: KeyKind | undefined;
  /** Milliseconds since 1970. */
  notBefore?: Milliseconds | undefined;
  notAfter?: Milliseconds | undefined;
  /** CAs besides the one between root and certificate, to make longer paths. */
  extraCas?: number | undefined;
}

export interface Issued {
  certificate: Certificate;
  /** End entity first, without the root. */
  chain: readonly Certificate[];
  key: KeyHolder["key"];
}

export class Pki {
  readonly directory: string;
  readonly #environment: PkiEnvironment;
  readonly #options: FullOptions;
  readonly #database: PkiDatabase;
  readonly #store: PkiStore;
  readonly #folder: CaFolder;
  readonly #authorities: Authorities;
  readonly #crls: CrlPublisher;
  /** Which devices are authorized, for the combined answers of TS 33.320 7.x-2. */
  readonly allowList: AllowList;

  private constructor(directory: string, environment: PkiEnvironment, database: PkiDatabase, options: FullOptions) {
    this.directory = directory;
    this.#environment = environment;
    this.#options = options;
    this.#database = database;
    this.#store = new PkiStore(database);
    this.#folder = new CaFolder(join(directory, "ca"));
    this.#authorities = new Authorities(database, this.#store, this.#folder, environment, options);
    this.#crls = new CrlPublisher(database, environment.clock, { crlUrl: options.crlUrl, deltas: options.deltaCrls });
    this.allowList = new AllowList(database);
  }

  /** Makes roots, CAs and OCSP signers in an empty or new folder. Throws PkiError if there is a PKI already. */
  static create(directory: string, environment: PkiEnvironment, options: PkiOptions = {}): Pki {
    const checked = checkOptions(options);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    return Pki.#closedUnlessMade(join(directory, DATABASE), (database) =>
      // The transaction keeps a second `init` waiting, and until it ends there is no PKI here.
      database.transaction(() => {
        const pki = new Pki(directory, environment, database, checked);
        if (pki.#store.setting("options") !== undefined)
          throw new PkiError(`${directory} holds a PKI already; choose another folder or remove it`);
        pki.#authorities.makePlanned();
        pki.#store.set("options", checked);
        return pki;
      }),
    );
  }

  /** Opens a folder that `create` made. Throws PkiError. */
  static open(directory: string, environment: PkiEnvironment): Pki {
    const none = `${directory} holds no PKI; make one with: femtogate pki init ${directory}`;
    if (!existsSync(join(directory, DATABASE))) throw new PkiError(none);
    return Pki.#closedUnlessMade(join(directory, DATABASE), (database) => {
      const options = new PkiStore(database).setting("options");
      if (options === undefined) throw new PkiError(none);
      const pki = new Pki(directory, environment, database, checkOptions(options));
      pki.authorities();
      return pki;
    });
  }

  static #closedUnlessMade(path: string, make: (database: PkiDatabase) => Pki): Pki {
    const database = new PkiDatabase(path);
    try {
      return make(database);
    } catch (error) {
      database.close();
      throw error;
    }
  }

  /** All CAs, each after its parent. */
  authorities(): Authority[] {
    return this.#authorities.all();
  }

  /** Throws PkiError if there is no CA of that name. */
  authority(name: string): Authority {
    return this.#authorities.get(name);
  }

  ca(name: string): Certificate {
    return this.#authorities.get(name).certificate;
  }

  /** PEM file of a CA's certificate. */
  caFile(name: string): string {
    return this.#folder.certificateFile(this.#authorities.get(name).name);
  }

  /** PEM file of the certificate of a CA's OCSP signer. */
  signerFile(name: string): string {
    return this.#folder.certificateFile(signerName(this.#authorities.get(name).name));
  }

  caNames(): string[] {
    return this.authorities().map(({ name }) => name);
  }

  ocspSigners(): OcspSigner[] {
    return this.authorities().map(({ ocspSigner }) => ocspSigner);
  }

  /** Certifies OCSP signers anew that end soon; whoever serves does it now and then. */
  renewOcspSigners(): void {
    this.#authorities.renewSigners();
  }

  /** Issues a certificate with a new key; on disk when this returns. Throws PkiError. */
  issue(request: IssueRequest): Issued {
    const [identity] = request.dns;
    if (identity === undefined) throw new PkiError("a certificate needs a name: give an FQDN");
    for (const name of request.dns)
      if (!fqdn.safeParse(name).success) throw new PkiError(`"${name}" is no FQDN such as ap-0001.operator.example`);
    if (identity.length > MAX_COMMON_NAME)
      throw new PkiError(
        `"${identity}" is longer than the ${MAX_COMMON_NAME} characters of a common name (RFC 5280 A.1); put a shorter name first`,
      );
    const ip = (request.ip ?? []).map((text) => parseIp(text) ?? refuse(`"${text}" is no IP address`));
    const plan = PROFILE_PLANS[request.profile];
    const issuer = this.#authorities.issuing(plan, request.extraCas ?? 0);
    const scope = this.#authorities.newScope(issuer);
    const { certificate, key } = certify(this.#environment, {
      subject: [this.#options[plan.owner], identity],
      issuer,
      keys: request.keys ?? this.#options.keys,
      notBefore: request.notBefore,
      notAfter: request.notAfter,
      life: ENTITY_LIFE,
      extensions: [
        ...endEntityExtensions(request.profile),
        subjectAltName({ dns: request.dns, ip }),
        ...this.#authorities.revocationPointers(scope),
      ],
    });
    this.#store.add(scope, certificate, identity, this.#environment.clock.now());
    return { certificate, chain: [certificate, ...this.#authorities.pathOf(issuer)], key };
  }

  /** Writes certificate, chain and key (mode 0600) beside each other; gives their paths. */
  writeFiles(issued: Issued, prefix: string): { certificate: string; chain: string; key: string } {
    const files = issuedFiles(prefix);
    writeKeyFile(files.key, issued.key);
    writeWholeFile(files.chain, issued.chain.map(({ der }) => toPem("CERTIFICATE", der)).join(""), 0o644);
    writeWholeFile(files.certificate, toPem("CERTIFICATE", issued.certificate.der), 0o644);
    return files;
  }

  /**
   * Revokes issued certificates, all or none; on disk when this returns. One on hold may be revoked for good, since when
   * it was put on hold. Throws PkiError for one not issued or revoked already.
   */
  revoke(serials: Bytes | readonly Bytes[], reason: RevocationReason = "unspecified"): void {
    const code = REVOCATION_REASONS[reason];
    this.#database.transaction(() => {
      for (const serial of Buffer.isBuffer(serials) ? [serials] : serials) {
        const { ca, serial: text, revokedAt, reason: before } = this.#issued(serial);
        if (revokedAt !== null && (before !== REVOCATION_REASONS.certificateHold || before === code))
          throw new PkiError(`certificate ${text} is revoked already, since ${new Date(revokedAt).toISOString()}`);
        const now = this.#environment.clock.now();
        this.#store.setRevoked(ca, serial, now, { since: revokedAt ?? now, reason: code });
      }
    });
  }

  /** Makes a certificate on hold good again; on disk when this returns. Throws PkiError for any other. */
  release(serial: Bytes): void {
    this.#database.transaction(() => {
      const { ca, serial: text, revokedAt, reason } = this.#issued(serial);
      if (revokedAt === null || reason !== REVOCATION_REASONS.certificateHold)
        throw new PkiError(`certificate ${text} is not on hold; only certificateHold can be taken back`);
      this.#store.setRevoked(ca, serial, this.#environment.clock.now(), undefined);
    });
  }

  /** All certificates, oldest first. */
  list(): IssuedRow[] {
    return this.#store.all();
  }

  /** At most `limit` serials under a CA, in order, from behind the hexadecimal `after` on, that have not ended. */
  serialsAfter(ca: string, after: string, limit: number): Bytes[] {
    return this.#store.serialsAfter(ca, after, limit, this.#environment.clock.now());
  }

  /** Status of a serial under one of the PKI's own CAs. */
  status(ca: string, serial: Bytes): IssuedStatus {
    return this.#store.status(ca, serial);
  }

  /** Changes with everything that OCSP responses and CRLs depend on, so that kept ones know when they are outdated. */
  get revision(): number {
    return this.#database.revision;
  }

  /** As `revision`; see PkiDatabase. */
  get revisionThisTurn(): number {
    return this.#database.revisionThisTurn;
  }

  /** The complete CRL of a CA, DER. */
  crl(name: string): Bytes {
    return this.currentCrl({ ca: name, shard: undefined }, "complete").der;
  }

  /** Throws PkiError for a CA, shard or kind that there is not. */
  currentCrl(scope: CrlScope, kind: CrlKind): CurrentCrl {
    const authority = this.#authorities.own(scope.ca);
    const { crlShards } = this.#options;
    if (scope.shard !== undefined && (authority.parent === undefined || crlShards === 1 || scope.shard >= crlShards))
      throw new PkiError(`the CRL of ${scope.ca} has no shard ${scope.shard}`);
    return this.#crls.current(authority, scope, kind);
  }

  /** Takes in somebody else's CA, to answer OCSP for it by its CRL; see `Authorities.import`. Throws PkiError. */
  importCa(name: string, certificate: Certificate, crlSource: string | undefined, signer: KeyHolder | undefined): void {
    if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name) || name.endsWith("-ocsp"))
      throw new PkiError(`"${name}" is no name for a CA: use small letters, digits and hyphens`);
    const { basicConstraints, keyUsage } = certificate.extensions;
    if (basicConstraints?.ca !== true) throw new PkiError(`${certificate.subject} is no CA`);
    if (keyUsage?.cRLSign === false) throw new PkiError(`the key of ${certificate.subject} may not sign CRLs`);
    this.#authorities.import(name, certificate, crlSource, signer);
  }

  /** Throws PkiError for a CA whose key is here. */
  foreign(name: string): ForeignAuthority {
    const authority = this.#authorities.get(name);
    if (authority.kind === "foreign") return authority;
    throw new PkiError(`${name} makes its own CRLs here`);
  }

  close(): void {
    this.#database.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #issued(serial: Bytes): IssuedRow {
    const [row, another] = this.#store.withSerial(serial);
    if (row === undefined) throw new PkiError(`no certificate with serial ${serial.toString("hex")} was issued here`);
    if (another !== undefined) throw new PkiError(`${row.ca} and ${another.ca} both issued ${row.serial}`);
    return row;
  }
}

/** Where `writeFiles` puts things. */
export function issuedFiles(prefix: string): { certificate: string; chain: string; key: string } {
  return { certificate: `${prefix}.crt.pem`, chain: `${prefix}.chain.pem`, key: `${prefix}.key.pem` };
}

function refuse(message: string): never {
  throw new PkiError(message);
}

const DATABASE = "pki.sqlite";
const ENTITY_LIFE: Milliseconds = 2 * 365 * 24 * 3600_000;
/** Characters (RFC 5280 A.1, ub-common-name). */
const MAX_COMMON_NAME = 64;
