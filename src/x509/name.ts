/** Distinguished names: raw, comparable (RFC 5280 7.1) and readable for people (RFC 4514). */
import { type Bytes, sameBytes } from "../bytes/bytes.ts";
import { DerReader, Tag } from "../der/reader.ts";
import { element, oid, sequence, setOf, utf8String } from "../der/writer.ts";
import { comparable, shownText } from "./nameComparison.ts";
import { Oid } from "./oids.ts";

/** Object identifier and text of one attribute. */
export interface NameAttribute {
  type: string;
  value: string;
}

/** A distinguished name. */
export class Name {
  /** DER of the RDNSequence. */
  readonly der: Bytes;
  /** In the order of the encoding, as `openssl x509 -subject` shows them. */
  readonly attributes: readonly NameAttribute[];
  #comparable: readonly string[] | undefined;
  #key: string | undefined;

  constructor(der: Bytes, attributes: readonly NameAttribute[]) {
    this.der = der;
    this.attributes = attributes;
  }

  /** "O=Operator, CN=SeGW CA", safe to print: nothing invisible, and separators within values escaped (RFC 4514 2.4). */
  toString(): string {
    return this.attributes
      .map(({ type, value }) => {
        const shown = value.replace(/\p{C}/gu, "?").replace(/[,+"\\<>;]/g, "\\$&");
        return `${SHORT.get(type) ?? type}=${shown}`;
      })
      .join(", ");
  }

  get commonName(): string | undefined {
    return this.attributes.findLast((attribute) => attribute.type === Oid.commonName)?.value;
  }

  get isEmpty(): boolean {
    return this.attributes.length === 0;
  }

  /** True for names that are the same after RFC 5280 7.1: RDN for RDN, attributes of one RDN in any order. */
  equals(other: Name): boolean {
    return sameBytes(this.der, other.der) || this.key === other.key;
  }

  /** True if this name is `base` or stands below it in the directory (RFC 5280 4.2.1.10). */
  isWithin(base: Name): boolean {
    const own = this.comparableRdns;
    return base.comparableRdns.every((rdn, index) => own[index] === rdn);
  }

  /** The same text for the same name, and for no other: what to index names by. */
  get key(): string {
    this.#key ??= this.comparableRdns.join("\n");
    return this.#key;
  }

  /** One text per RDN, the same for RDNs that are the same; read on demand, since most names match octet for octet. */
  private get comparableRdns(): readonly string[] {
    this.#comparable ??= readRdns(new DerReader(this.der)).map((rdn) => rdn.toSorted().join("\t"));
    return this.#comparable;
  }
}

/** Reads an RDNSequence; throws DerError. */
export function readName(reader: DerReader, field: string): Name {
  const rdns = reader.expect(Tag.SEQUENCE, field);
  const attributes: NameAttribute[] = [];
  const sets = new DerReader(rdns.content, rdns.offset);
  while (!sets.atEnd) {
    const set = sets.expect(Tag.SET, `${field}.rdn`);
    const members = new DerReader(set.content, set.offset);
    while (!members.atEnd) {
      if (attributes.length >= MAX_ATTRIBUTES) members.fail(field, `more than ${MAX_ATTRIBUTES} attributes`);
      const pair = members.sequence(`${field}.attribute`);
      const type = pair.oid(`${field}.type`);
      const value = pair.element(`${field}.value`);
      pair.end(`${field}.attribute`);
      attributes.push({ type, value: shownText(value) });
    }
  }
  return new Name(rdns.whole, attributes);
}

/** A name from "O" and "CN" pairs in order, as UTF8String (TS 33.310 6.1.1). */
export function makeName(attributes: readonly NameAttribute[]): Name {
  const der = sequence(
    ...attributes.map(({ type, value }) => {
      const text =
        type === Oid.country
          ? element(Tag.PRINTABLE_STRING, Buffer.from(value))
          : type === Oid.domainComponent
            ? element(Tag.IA5_STRING, Buffer.from(value))
            : utf8String(value);
      return setOf(sequence(oid(type), text));
    }),
  );
  return new Name(der, attributes);
}

/** The RDNs of a name that was read or made before, each as the comparable texts of its attributes. */
function readRdns(reader: DerReader): string[][] {
  const rdns: string[][] = [];
  const sets = reader.sequence("name");
  while (!sets.atEnd) {
    const set = sets.expect(Tag.SET, "rdn");
    const members = new DerReader(set.content, set.offset);
    const rdn: string[] = [];
    while (!members.atEnd) {
      const pair = members.sequence("attribute");
      rdn.push(pair.oid("type") + comparable(pair.element("value")));
    }
    rdns.push(rdn);
  }
  return rdns;
}

const MAX_ATTRIBUTES = 32;
const SHORT = new Map<string, string>([
  [Oid.commonName, "CN"],
  [Oid.country, "C"],
  [Oid.locality, "L"],
  [Oid.state, "ST"],
  [Oid.organization, "O"],
  [Oid.organizationalUnit, "OU"],
  [Oid.serialNumber, "serialNumber"],
  [Oid.domainComponent, "DC"],
  [Oid.emailAddress, "emailAddress"],
]);
