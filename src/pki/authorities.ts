/**
 * The CAs of a PKI: its own, with their keys, and foreign ones that it answers OCSP for by their CRLs.
 *
 * Each has an OCSP signer of its own. Keys and certificates are files, and the database says which of them count; so a
 * CA that another process adds while this one runs is found.
 */
import { authorityInfoAccess, crlDistributionPoint, type NewExtension } from "../x509/build.ts";
import type { Certificate } from "../x509/certificate.ts";
import type { CaFolder, KeyHolder } from "./caFolder.ts";
import { certify, certifyKey, type PkiEnvironment } from "./certify.ts";
import type { CrlScope } from "./crlArchive.ts";
import { crlPath } from "./crlPublisher.ts";
import type { PkiDatabase } from "./database.ts";
import { PkiError } from "./error.ts";
import type { FullOptions } from "./options.ts";
import {
  CA_NAMES,
  CA_PLANS,
  caExtensions,
  type Owner,
  ocspSignerExtensions,
  type PROFILE_PLANS,
  type Profile,
} from "./profiles.ts";
import type { PkiStore } from "./store.ts";

/** Who signs the OCSP responses about the certificates of a CA. */
export interface OcspSigner extends KeyHolder {
  ca: string;
  issuer: Certificate;
}

/** A CA whose key is here. */
export interface OwnAuthority extends KeyHolder {
  kind: "own";
  name: string;
  parent: string | undefined;
  ocspSigner: OcspSigner;
}

/** A CA of somebody else's, known by its certificate and its CRL. */
export interface ForeignAuthority {
  kind: "foreign";
  name: string;
  certificate: Certificate;
  /** URL of its CRL; undefined where `import-crl` brings it. */
  crlSource: string | undefined;
  ocspSigner: OcspSigner;
}

export type Authority = OwnAuthority | ForeignAuthority;

export class Authorities {
  readonly #database: PkiDatabase;
  readonly #store: PkiStore;
  readonly #folder: CaFolder;
  readonly #environment: PkiEnvironment;
  readonly #options: FullOptions;
  readonly #known = new Map<string, Authority>();
  /** Revision at which #known was what the database says. */
  #knownAt = -1;

  constructor(
    database: PkiDatabase,
    store: PkiStore,
    folder: CaFolder,
    environment: PkiEnvironment,
    options: FullOptions,
  ) {
    this.#database = database;
    this.#store = store;
    this.#folder = folder;
    this.#environment = environment;
    this.#options = options;
  }

  /** Makes the CAs of a new PKI. */
  makePlanned(): void {
    for (const name of CA_NAMES) {
      const { parent, owner, commonName } = CA_PLANS[name];
      // TS 33.310 6.1.4: no CA below an issuing CA.
      this.#make(name, parent, owner, commonName, parent === undefined ? undefined : 0);
    }
  }

  /** In the order in which they were made, each after its parent. */
  all(): Authority[] {
    this.#load();
    return [...this.#known.values()];
  }

  /** Throws PkiError if there is no CA of that name. */
  get(name: string): Authority {
    const found = this.#find(name);
    if (found !== undefined) return found;
    throw new PkiError(`there is no CA "${name}"; there are ${[...this.#known.keys()].join(", ")}`);
  }

  /** As `get`; throws PkiError for a foreign one as well. */
  own(name: string): OwnAuthority {
    const found = this.get(name);
    if (found.kind === "own") return found;
    throw new PkiError(`the key of ${name} is not here: it issues no certificates and CRLs here`);
  }

  /** The CA for a new certificate, or the last of a row of CAs as long as its path asks for; made when first needed. */
  issuing({ ca, owner }: (typeof PROFILE_PLANS)[Profile], extra: number): OwnAuthority {
    if (extra === 0) return this.own(ca);
    // Apart from the usual CA, below which no other may stand.
    let name: string = CA_PLANS[ca].parent ?? ca;
    for (let tier = 1; tier <= extra + 1; tier++) {
      const parent = name;
      name = `${ca}-tier-${tier}`;
      if (this.#find(name) !== undefined) continue;
      try {
        this.#database.transaction(() => {
          // RFC 5280 4.2.1.9 leaves the length open: how many CAs will stand below is not known yet.
          if (this.#find(name) === undefined)
            this.#make(name, parent, owner, `${CA_PLANS[ca].commonName} tier ${tier}`, undefined);
        });
      } catch (error) {
        // What was made and not kept must not be used.
        this.#known.clear();
        this.#knownAt = -1;
        throw error;
      }
    }
    return this.own(name);
  }

  /**
   * Takes in a CA of somebody else's (TS 33.320 7.2.2-8: the operator's server for a manufacturer's certificates). Without
   * a signer it makes one under the operator's root, which those who ask must trust by configuration (RFC 6960 4.2.2.2).
   */
  import(name: string, certificate: Certificate, crlSource: string | undefined, signer: KeyHolder | undefined): void {
    const used = signer ?? this.#newSigner(this.own("operator-root"), this.#options.operator, name);
    this.#database.transaction(() => {
      if (this.#find(name) !== undefined) throw new PkiError(`there is a CA "${name}" already; choose another name`);
      const twin = this.all().find((other) => other.certificate.spki.equals(certificate.spki));
      if (twin !== undefined) throw new PkiError(`this CA is here already, as "${twin.name}"`);
      this.#folder.saveCertificate(name, certificate);
      this.#folder.save(signerName(name), used);
      this.#store.addAuthority({ name, parent: undefined, kind: "foreign", crlSource });
    });
  }

  /** A path upward: the CA itself and those above it, without the root. */
  pathOf(authority: OwnAuthority): Certificate[] {
    const path: Certificate[] = [];
    for (let at = authority; at.parent !== undefined; at = this.own(at.parent)) path.push(at.certificate);
    return path;
  }

  /** Which of the issuer's CRLs a new certificate belongs to: any, as long as all have about as many. */
  newScope({ name, parent }: OwnAuthority): CrlScope {
    const { crlShards } = this.#options;
    const sharded = parent !== undefined && crlShards > 1;
    return {
      ca: name,
      shard: sharded ? this.#environment.random.bytes(4).readUInt32BE() % crlShards : undefined,
    };
  }

  /** TS 33.320 7.2.5.2.1-3 and -4, 8.3.3.1-4: pointers only where a server is configured. */
  revocationPointers(scope: CrlScope): NewExtension[] {
    const { ocspUrl, crlUrl } = this.#options;
    return [
      ...(crlUrl === undefined ? [] : [crlDistributionPoint(`${crlUrl}/${crlPath(scope, "complete")}`)]),
      ...(ocspUrl === undefined ? [] : [authorityInfoAccess({ ocsp: ocspUrl })]),
    ];
  }

  /**
   * Certifies OCSP signers anew that end soon, with the keys they have: nobody else can say that a signer with
   * id-pkix-ocsp-nocheck is not to be trusted any more, so it lives short (RFC 6960 4.2.2.2.1).
   */
  renewSigners(): void {
    const now = this.#environment.clock.now();
    for (const authority of this.all()) {
      const { ocspSigner, name } = authority;
      const by = authority.kind === "own" ? authority : this.own("operator-root");
      const ours = ocspSigner.certificate.issuer.equals(by.certificate.subject);
      if (!ours || ocspSigner.certificate.notAfter > now + SIGNER_LIFE / 3) continue;
      const [organisation, commonName] = ocspSigner.certificate.subject.attributes.map(({ value }) => value);
      const renewed = certifyKey(
        this.#environment,
        {
          subject: [organisation ?? "", commonName ?? ""],
          issuer: by,
          life: SIGNER_LIFE,
          extensions: ocspSignerExtensions(),
        },
        ocspSigner.key,
      );
      this.#folder.saveCertificate(signerName(name), renewed.certificate);
      this.#known.set(name, { ...authority, ocspSigner: { ...ocspSigner, ...renewed } });
      this.#database.touch();
    }
  }

  /** Makes a CA with its OCSP signer and keeps both. */
  #make(
    name: string,
    parentName: string | undefined,
    owner: Owner,
    commonName: string,
    below: number | undefined,
  ): void {
    const parent = parentName === undefined ? undefined : this.own(parentName);
    const scope = parent && this.newScope(parent);
    const organisation = this.#options[owner];
    const made = certify(this.#environment, {
      subject: [organisation, commonName],
      issuer: parent,
      keys: this.#options.keys,
      life: parent === undefined ? ROOT_LIFE : CA_LIFE,
      extensions: [...caExtensions(below), ...(scope === undefined ? [] : this.revocationPointers(scope))],
    });
    const signer = this.#newSigner(made, organisation, commonName);
    this.#folder.save(name, made);
    this.#folder.save(signerName(name), signer);
    this.#store.addAuthority({ name, parent: parentName, kind: "own", crlSource: undefined });
    if (scope !== undefined) this.#store.add(scope, made.certificate, commonName, this.#environment.clock.now());
    this.#known.set(name, {
      ...made,
      kind: "own",
      name,
      parent: parentName,
      ocspSigner: { ...signer, ca: name, issuer: made.certificate },
    });
  }

  #newSigner(issuer: KeyHolder, organisation: string, of: string): KeyHolder {
    return certify(this.#environment, {
      subject: [organisation, `OCSP signer of ${of}`],
      issuer,
      keys: this.#options.ocspKeys,
      life: SIGNER_LIFE,
      extensions: ocspSignerExtensions(),
    });
  }

  #find(name: string): Authority | undefined {
    this.#load();
    return this.#known.get(name);
  }

  /** Another process may have added a CA since. */
  #load(): void {
    const { revision } = this.#database;
    if (revision === this.#knownAt) return;
    for (const { name, parent, kind, crlSource } of this.#store.authorities()) {
      if (this.#known.has(name)) continue;
      const certificate = this.#folder.loadCertificate(name);
      const ocspSigner = { ...this.#folder.load(signerName(name)), ca: name, issuer: certificate };
      this.#known.set(
        name,
        kind === "own"
          ? { ...this.#folder.load(name), kind, name, parent, ocspSigner }
          : { kind, name, certificate, crlSource, ocspSigner },
      );
    }
    this.#knownAt = revision;
  }
}

/** The name of a CA's OCSP signer in the folder. */
export function signerName(ca: string): string {
  return `${ca}-ocsp`;
}

const DAY = 24 * 3600_000;
const ROOT_LIFE = 20 * 365 * DAY;
const CA_LIFE = 10 * 365 * DAY;
const SIGNER_LIFE = 90 * DAY;
