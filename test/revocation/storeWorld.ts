/** A CRL store in virtual time, on a network and a disk of its own. */
import { type Bytes, copyOf } from "../../src/bytes/bytes.ts";
import * as write from "../../src/der/writer.ts";
import type { CrlDisk, Restored, StoredCrl } from "../../src/revocation/crlDisk.ts";
import { type CrlLoad, type CrlLoader, CrlThreadError, loadedCrl } from "../../src/revocation/crlLoader.ts";
import { type CrlSigner, loadCrl } from "../../src/revocation/crlLoading.ts";
import { REFRESH_SCHEDULE, type RefreshSchedule } from "../../src/revocation/crlRefresh.ts";
import { CrlStore, type CrlStoreEvent } from "../../src/revocation/crlStore.ts";
import type { Fetched, Fetcher, Validators } from "../../src/revocation/fetching.ts";
import type { Reach } from "../../src/revocation/reach.ts";
import type { Random } from "../../src/sim/environment.ts";
import {
  authorityKeyIdentifier,
  crlDistributionPoint,
  extension,
  type NewExtension,
  signed,
} from "../../src/x509/build.ts";
import type { Certificate } from "../../src/x509/certificate.ts";
import { Oid } from "../../src/x509/oids.ts";
import { DAY, type Made } from "../x509/made.ts";
import { VirtualTime } from "./virtualTime.ts";

/** Answers each address as told, after `delayMs`. */
export class SimulatedNetwork implements Fetcher {
  readonly #time: VirtualTime;
  readonly contents = new Map<string, Bytes | Fetched>();
  delayMs = 100;
  /** Addresses in the order in which they were asked, and with what. */
  readonly asked: { url: string; validators: Validators; reach?: Reach }[] = [];
  atOnce = 0;
  mostAtOnce = 0;

  constructor(time: VirtualTime) {
    this.#time = time;
  }

  async fetch(url: string, validators: Validators, reach?: Reach): Promise<Fetched> {
    this.asked.push({ url, validators, ...(reach === undefined ? {} : { reach }) });
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.atOnce);
    await this.#time.delay(this.delayMs);
    this.atOnce -= 1;
    const content = this.contents.get(url) ?? { kind: "failed", problem: { reason: "BadStatus", status: 404 } };
    if (!Buffer.isBuffer(content)) return content;
    return { kind: "content", segments: [copyOf(content)], validators: {} };
  }
}

/** Keeps copies, as a disk does. */
class SimulatedDisk implements CrlDisk {
  readonly files = new Map<string, StoredCrl>();
  full = false;

  async read(url: string): Promise<Restored> {
    const stored = this.files.get(url);
    return stored === undefined ? { kind: "none" } : { kind: "stored", stored: { ...stored, der: copyOf(stored.der) } };
  }

  async write(url: string, stored: StoredCrl): Promise<void> {
    if (this.full) throw new Error("no space left on device");
    this.files.set(url, { ...stored, der: copyOf(stored.der) });
  }
}

/** Loads on the spot. */
export class InlineLoader implements CrlLoader {
  readonly #random: Random;
  /** As a thread that dies. */
  broken = false;

  constructor(random: Random) {
    this.#random = random;
  }

  async load(segments: readonly Bytes[], signers: readonly CrlSigner[]): Promise<CrlLoad> {
    if (this.broken) throw new CrlThreadError("the CRL thread died");
    const outcome = loadCrl(segments, signers, this.#random);
    return outcome.ok ? { ok: true, loaded: loadedCrl(outcome) } : outcome;
  }
}

export class StoreWorld {
  readonly time: VirtualTime;
  readonly network: SimulatedNetwork;
  readonly disk = new SimulatedDisk();
  readonly loader: InlineLoader;
  readonly schedule: RefreshSchedule;
  readonly events: CrlStoreEvent[] = [];
  store: CrlStore;

  constructor(seed: number | string, schedule: Partial<RefreshSchedule> = {}) {
    this.time = new VirtualTime(seed);
    this.network = new SimulatedNetwork(this.time);
    this.loader = new InlineLoader(this.time.world.random);
    this.schedule = { ...REFRESH_SCHEDULE, ...schedule };
    this.store = this.#open();
  }

  get now(): number {
    return this.time.world.now();
  }

  /** The program ends and begins anew; network and disk stay. */
  async restart(): Promise<void> {
    await this.store[Symbol.asyncDispose]();
    this.store = this.#open();
  }

  #open(): CrlStore {
    const { world, timers } = this.time;
    const store = new CrlStore({
      clock: world,
      random: world.random,
      timers,
      fetcher: this.network,
      disk: this.disk,
      loader: this.loader,
      schedule: this.schedule,
    });
    store.subscribe((event) => this.events.push(event));
    return store;
  }
}

/** What a CRL for tests says besides. */
export interface CrlOver {
  thisUpdate?: number;
  nextUpdate?: number;
  number?: number;
  /** CRLReason of all entries. */
  reason?: number;
  extensions?: readonly NewExtension[];
  /** DER of entries besides. */
  entries?: readonly Bytes[];
}

/** A CRL of `ca` as of `now`, with these serial numbers on it. */
export function crlAt(ca: Made, now: number, serials: readonly Bytes[], over: CrlOver = {}): Bytes {
  const { thisUpdate = now, nextUpdate = now + DAY, number = 1, reason = 1, extensions = [] } = over;
  const why = write.sequence(extension({ oid: Oid.reasonCode, critical: false, value: write.enumerated(reason) }));
  const entries = [
    ...serials.map((serial) => write.sequence(write.element(0x02, serial), write.time(now - 3600_000), why)),
    ...(over.entries ?? []),
  ];
  const tbs = write.sequence(
    write.integer(1),
    ca.signer.algorithm,
    ca.certificate.subject.der,
    write.time(thisUpdate),
    write.time(nextUpdate),
    ...(entries.length === 0 ? [] : [write.sequence(...entries)]),
    write.explicit(
      0,
      write.sequence(
        extension(authorityKeyIdentifier(ca.certificate.extensions.subjectKeyId!)),
        extension({ oid: Oid.crlNumber, critical: false, value: write.integer(number) }),
        ...extensions.map(extension),
      ),
    ),
  );
  return signed(tbs, ca.signer);
}

/** Says of a CRL that it tells the changes since the one of this number (RFC 5280 5.2.4). */
export const deltaIndicator = (base: number): NewExtension => ({
  oid: Oid.deltaCrlIndicator,
  critical: true,
  value: write.integer(base),
});

/** Where the delta CRLs are (RFC 5280 5.2.6). */
export const freshestCrl = (url: string): NewExtension => ({ ...crlDistributionPoint(url), oid: Oid.freshestCrl });

/** What a CRL covers; `flag` 1 end entities only, 2 CAs only, 4 indirect (RFC 5280 5.2.5). */
export const covers = (flag: 1 | 2 | 4): NewExtension => ({
  oid: Oid.issuingDistributionPoint,
  critical: true,
  value: write.sequence(write.implicit(flag, Buffer.from([0xff]))),
});

const pointName = (url: string) => write.explicit(0, write.explicit(0, write.implicit(6, Buffer.from(url))));

/** A certificate's distribution point whose CRL another issuer signs (RFC 5280 4.2.1.13). */
export const pointOf = (url: string, issuer: Made): NewExtension => ({
  ...crlDistributionPoint(url),
  value: write.sequence(
    write.sequence(pointName(url), write.explicit(2, write.explicit(4, issuer.certificate.subject.der))),
  ),
});

/** The other side of that: an indirect CRL for this point. */
export const indirectAt = (url: string): NewExtension => ({
  oid: Oid.issuingDistributionPoint,
  critical: true,
  value: write.sequence(pointName(url), write.implicit(4, Buffer.from([0xff]))),
});

/** An entry of an indirect CRL: says who issued the certificate (RFC 5280 5.3.3). */
export const entryOf = ({ serial, issuer }: Certificate, now: number): Bytes =>
  write.sequence(
    write.element(0x02, serial),
    write.time(now),
    write.sequence(
      extension({ oid: "2.5.29.29", critical: true, value: write.sequence(write.explicit(4, issuer.der)) }),
    ),
  );
