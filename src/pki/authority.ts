/**
 * A small PKI in one folder: operator and manufacturer roots, their issuing CAs and delegated OCSP signers, and what
 * they issued and revoked (TS 33.310 6.1, TS 33.320 7.2.5.2, 8.3.3).
 *
 * Keys and CA certificates are PEM files, so that other tools can use them; what was issued and revoked is in SQLite. A
 * folder is a PKI once the database says so: an `init` that died half-way left none, and may be run again.
 */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Bytes } from "../bytes/bytes.ts";
import { parseIp } from "../bytes/ip.ts";
import { fqdn } from "../config/fields.ts";
import { authorityInfoAccess, crlDistributionPoint, type NewExtension, subjectAltName } from "../x509/build.ts";
import type { Certificate } from "../x509/certificate.ts";
import { toPem } from "../x509/pem.ts";
import { CaFolder, type KeyHolder, writeKeyFile } from "./caFolder.ts";
import { certify, KEY_KINDS, type KeyKind, type PkiEnvironment } from "./certify.ts";
import { CrlPublisher, type CurrentCrl, crlPath } from "./crlPublisher.ts";
import { PkiError } from "./error.ts";
import {
  CA_NAMES,
  CA_PLANS,
  caExtensions,
  endEntityExtensions,
  type Owner,
  ocspSignerExtensions,
  PROFILE_PLANS,
  type Profile,
} from "./profiles.ts";
import { type CrlKind, type CrlScope, type IssuedRow, type IssuedStatus, PkiStore } from "./store.ts";
import { writeWholeFile } from "./wholeFile.ts";

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

const pkiOptions = z
  .object({
    keys: z.enum(KEY_KINDS).default("p-256"),
    /** P-256 signs eight times as fast as RSA-2048, which devices of release 9 may need. */
    ocspKeys: z.enum(KEY_KINDS).default("p-256"),
    /** Organisation of the operator and of the manufacturer in names. */
    operator: z.string().min(1).default("Operator"),
    manufacturer: z.string().min(1).default("Manufacturer"),
    /** Shards that an issuing CA's CRL is cut into, each certificate pointing to its own (RFC 5280 5.2.5). */
    crlShards: z.int().min(1).max(1000).default(1),
    /** Publish delta CRLs, which complete CRLs point to (RFC 5280 5.2.4, 5.2.6). */
    deltaCrls: z.boolean().default(false),
    /** Base URLs put into certificates; undefined puts none (TS 33.320 7.2.5.2.1-3, -4). */
    ocspUrl: z.url({ protocol: /^http$/ }).optional(),
    crlUrl: z.url({ protocol: /^http$/ }).optional(),
  })
  // Two roots of one name would be taken for one CA with two keys.
  .refine(({ crlShards, deltaCrls, crlUrl }) => (crlShards === 1 && !deltaCrls) || crlUrl !== undefined, {
    path: ["crlUrl"],
    error: "is needed for shards and delta CRLs, which are found by it",
  })
  .refine(({ operator, manufacturer }) => operator !== manufacturer, {
    path: ["manufacturer"],
    error: "must not be named as the operator is",
  });
export type PkiOptions = z.input<typeof pkiOptions>;
export { KEY_KINDS, type KeyKind };

export interface IssueRequest {
  profile: Profile;
  /** FQDNs for subjectAltName; the first is the identity and the common name (TS 33.320 7.2.5.2.1-2, 8.3.3.1-2, -3). */
  dns: readonly string[];
  ip?: readonly string[] | undefined;
  keys?: KeyKind | undefined;
  /** Milliseconds since 1970. */
  notBefore?: number | undefined;
  notAfter?: number | undefined;
  /** CAs besides the one between root and certificate, to make longer paths. */
  extraCas?: number | undefined;
}

export interface Issued {
  certificate: Certificate;
  /** End entity first, without the root. */
  chain: readonly Certificate[];
  key: KeyHolder["key"];
}

/** A CA of this PKI and who signs OCSP responses for it. */
export interface OcspSigner extends Pick<KeyHolder, "certificate" | "signer"> {
  ca: string;
  issuer: Certificate;
}

interface Authority extends KeyHolder {
  name: string;
  parent: string | undefined;
  ocspSigner: OcspSigner;
}

export class Pki {
  readonly directory: string;
  readonly #environment: PkiEnvironment;
  readonly #store: PkiStore;
  readonly #folder: CaFolder;
  readonly #authorities = new Map<string, Authority>();
  #options: z.output<typeof pkiOptions>;
  #crls: CrlPublisher;
  /** Revision at which #authorities was what the store says. */
  #authoritiesAt = -1;

  private constructor(directory: string, environment: PkiEnvironment) {
    this.directory = directory;
    this.#environment = environment;
    this.#folder = new CaFolder(join(directory, "ca"));
    this.#store = new PkiStore(join(directory, DATABASE));
    this.#options = pkiOptions.parse({});
    this.#crls = this.#publisher();
  }

  /** Makes roots, CAs and OCSP signers in an empty or new folder. Throws PkiError if there is a PKI already. */
  static create(directory: string, environment: PkiEnvironment, options: PkiOptions = {}): Pki {
    const checked = pkiOptions.safeParse(options);
    if (!checked.success)
      throw new PkiError(checked.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; "));
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const pki = new Pki(directory, environment);
    try {
      // The transaction keeps a second `init` waiting, and until it ends there is no PKI here.
      pki.#store.transaction(() => {
        if (pki.#store.setting("options") !== undefined)
          throw new PkiError(`${directory} holds a PKI already; choose another folder or remove it`);
        pki.#options = checked.data;
        pki.#crls = pki.#publisher();
        for (const name of CA_NAMES) {
          const { parent, owner, commonName } = CA_PLANS[name];
          // TS 33.310 6.1.4: no CA below an issuing CA.
          pki.#addAuthority(name, parent, owner, commonName, parent === undefined ? undefined : 0);
        }
        pki.#store.set("options", checked.data);
      });
      return pki;
    } catch (error) {
      pki.close();
      throw error;
    }
  }

  /** Opens a folder that `create` made. Throws PkiError. */
  static open(directory: string, environment: PkiEnvironment): Pki {
    const none = `${directory} holds no PKI; make one with: femtogate pki init ${directory}`;
    if (!existsSync(join(directory, DATABASE))) throw new PkiError(none);
    const pki = new Pki(directory, environment);
    try {
      const options = pki.#store.setting("options");
      if (options === undefined) throw new PkiError(none);
      pki.#options = pkiOptions.parse(options);
      pki.#crls = pki.#publisher();
      pki.#loadAuthorities();
      return pki;
    } catch (error) {
      pki.close();
      throw error;
    }
  }

  ca(name: string): Certificate {
    return this.#authority(name).certificate;
  }

  /** PEM file of a CA's certificate. */
  caFile(name: string): string {
    return this.#folder.certificateFile(this.#authority(name).name);
  }

  /** Names of all CAs, each after its parent. */
  caNames(): string[] {
    this.#loadAuthorities();
    return [...this.#authorities.keys()];
  }

  ocspSigners(): OcspSigner[] {
    this.#loadAuthorities();
    return [...this.#authorities.values()].map(({ ocspSigner }) => ocspSigner);
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
    const issuer = this.#issuingCa(plan, request.extraCas ?? 0);
    const scope = this.#newScope(issuer);
    const made = certify(this.#environment, {
      subject: [this.#options[plan.owner], identity],
      issuer,
      keys: request.keys ?? this.#options.keys,
      notBefore: request.notBefore,
      notAfter: request.notAfter,
      life: ENTITY_LIFE,
      extensions: [
        ...endEntityExtensions(request.profile),
        subjectAltName({ dns: request.dns, ip }),
        ...this.#revocationPointers(scope),
      ],
    });
    this.#store.add(issuer.name, scope.shard, made.certificate, this.#environment.clock.now());
    return { certificate: made.certificate, chain: [made.certificate, ...this.#pathOf(issuer)], key: made.key };
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
   * Revokes an issued certificate; on disk when this returns. One on hold may be revoked for good, since when it was put
   * on hold. Throws PkiError for one not issued or revoked already.
   */
  revoke(serial: Bytes, reason: RevocationReason = "unspecified"): void {
    this.#store.transaction(() => {
      const { ca, serial: text, revokedAt, reason: before } = this.#issued(serial);
      const code = REVOCATION_REASONS[reason];
      if (revokedAt !== null && (before !== REVOCATION_REASONS.certificateHold || before === code))
        throw new PkiError(`certificate ${text} is revoked already, since ${new Date(revokedAt).toISOString()}`);
      const now = this.#environment.clock.now();
      this.#store.setRevoked(ca, serial, now, { since: revokedAt ?? now, reason: code });
    });
  }

  /** Makes a certificate on hold good again; on disk when this returns. Throws PkiError for any other. */
  release(serial: Bytes): void {
    this.#store.transaction(() => {
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

  /** Status of a serial under one of the CAs, for OCSP. */
  status(ca: string, serial: Bytes): IssuedStatus {
    return this.#store.status(ca, serial);
  }

  /** Changes with everything that OCSP responses and CRLs depend on, so that kept ones know when they are outdated. */
  get revision(): number {
    return this.#store.revision;
  }

  /** The complete CRL of a CA, DER. */
  crl(name: string): Bytes {
    return this.currentCrl({ ca: name, shard: undefined }, "complete").der;
  }

  /** Throws PkiError for a CA, shard or kind that there is not. */
  currentCrl(scope: CrlScope, kind: CrlKind): CurrentCrl {
    const authority = this.#authority(scope.ca);
    const { crlShards } = this.#options;
    if (scope.shard !== undefined && (authority.parent === undefined || crlShards === 1 || scope.shard >= crlShards))
      throw new PkiError(`the CRL of ${scope.ca} has no shard ${scope.shard}`);
    return this.#crls.current(authority, scope, kind);
  }

  close(): void {
    this.#store.close();
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

  /** The usual CA, or the last of a row of CAs as long as a path asks for; made when first needed. */
  #issuingCa({ ca, owner }: (typeof PROFILE_PLANS)[Profile], extra: number): Authority {
    if (extra === 0) return this.#authority(ca);
    // Apart from the usual CA, below which no other may stand.
    let name: string = CA_PLANS[ca].parent ?? ca;
    for (let tier = 1; tier <= extra + 1; tier++) {
      const parent = name;
      name = `${ca}-tier-${tier}`;
      const commonName = `${CA_PLANS[ca].commonName} tier ${tier}`;
      if (!this.#hasAuthority(name))
        this.#store.transaction(() => {
          // RFC 5280 4.2.1.9 leaves the length open: how many CAs will stand below is not known yet.
          if (!this.#hasAuthority(name)) this.#addAuthority(name, parent, owner, commonName, undefined);
        });
    }
    return this.#authority(name);
  }

  /** Makes a CA with its OCSP signer and keeps both. */
  #addAuthority(
    name: string,
    parentName: string | undefined,
    owner: Owner,
    commonName: string,
    below: number | undefined,
  ): void {
    const parent = parentName === undefined ? undefined : this.#authority(parentName);
    const scope = parent && this.#newScope(parent);
    const organisation = this.#options[owner];
    const made = certify(this.#environment, {
      subject: [organisation, commonName],
      issuer: parent,
      keys: this.#options.keys,
      life: parent === undefined ? ROOT_LIFE : CA_LIFE,
      extensions: [...caExtensions(below), ...(scope === undefined ? [] : this.#revocationPointers(scope))],
    });
    const signer = certify(this.#environment, {
      subject: [organisation, `OCSP signer of ${commonName}`],
      issuer: made,
      keys: this.#options.ocspKeys,
      life: OCSP_SIGNER_LIFE,
      extensions: ocspSignerExtensions(),
    });
    this.#folder.save(name, made);
    this.#folder.save(`${name}-ocsp`, signer);
    this.#store.addAuthority(name, parentName);
    if (scope !== undefined) this.#store.add(scope.ca, scope.shard, made.certificate, this.#environment.clock.now());
    this.#authorities.set(name, {
      ...made,
      name,
      parent: parentName,
      ocspSigner: { ca: name, issuer: made.certificate, certificate: signer.certificate, signer: signer.signer },
    });
  }

  /** Another process may have made a CA since. */
  #loadAuthorities(): void {
    const { revision } = this.#store;
    if (revision === this.#authoritiesAt) return;
    for (const { name, parent } of this.#store.authorities()) {
      if (this.#authorities.has(name)) continue;
      const made = this.#folder.load(name);
      const { certificate, signer } = this.#folder.load(`${name}-ocsp`);
      this.#authorities.set(name, {
        ...made,
        name,
        parent,
        ocspSigner: { ca: name, issuer: made.certificate, certificate, signer },
      });
    }
    this.#authoritiesAt = revision;
  }

  #hasAuthority(name: string): boolean {
    this.#loadAuthorities();
    return this.#authorities.has(name);
  }

  #authority(name: string): Authority {
    this.#loadAuthorities();
    const authority = this.#authorities.get(name);
    if (authority === undefined)
      throw new PkiError(`there is no CA "${name}"; there are ${[...this.#authorities.keys()].join(", ")}`);
    return authority;
  }

  /** The CA and those above it, without the root. */
  #pathOf(authority: Authority): Certificate[] {
    const path: Certificate[] = [];
    for (let at = authority; at.parent !== undefined; at = this.#authority(at.parent)) path.push(at.certificate);
    return path;
  }

  /** Which of the issuer's CRLs a new certificate belongs to: any, as long as all have about as many. */
  #newScope({ name, parent }: Authority): CrlScope {
    const { crlShards } = this.#options;
    const sharded = parent !== undefined && crlShards > 1;
    return {
      ca: name,
      shard: sharded ? this.#environment.random.bytes(4).readUInt32BE() % crlShards : undefined,
    };
  }

  /** TS 33.320 7.2.5.2.1-3 and -4, 8.3.3.1-4: pointers only where a server is configured. */
  #revocationPointers(scope: CrlScope): NewExtension[] {
    const { ocspUrl, crlUrl } = this.#options;
    return [
      ...(crlUrl === undefined ? [] : [crlDistributionPoint(`${crlUrl}/${crlPath(scope, "complete")}`)]),
      ...(ocspUrl === undefined ? [] : [authorityInfoAccess({ ocsp: ocspUrl })]),
    ];
  }

  #publisher(): CrlPublisher {
    const { crlUrl, deltaCrls } = this.#options;
    return new CrlPublisher(this.#store, this.#environment.clock, { crlUrl, deltas: deltaCrls });
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
const DAY = 24 * 3600_000;
const YEAR = 365 * DAY;
const ROOT_LIFE = 20 * YEAR;
const CA_LIFE = 10 * YEAR;
const ENTITY_LIFE = 2 * YEAR;
const OCSP_SIGNER_LIFE = YEAR;
/** Characters (RFC 5280 A.1, ub-common-name). */
const MAX_COMMON_NAME = 64;
