/** Distinguished names: raw for comparison, readable for people (RFC 5280 4.1.2.4, RFC 4514). */
import { type Bytes, sameBytes } from "../bytes/bytes.ts";
import { type DerElement, DerReader, Tag } from "../der/reader.ts";
import { element, oid, sequence, setOf, utf8String } from "../der/writer.ts";
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

  /** Octet for octet, or else attribute for attribute without regard to case and runs of spaces (RFC 5280 7.1). */
  equals(other: Name): boolean {
    if (sameBytes(this.der, other.der)) return true;
    if (this.attributes.length !== other.attributes.length) return false;
    return this.attributes.every(
      (own, index) =>
        own.type === other.attributes[index]!.type && fold(own.value) === fold(other.attributes[index]!.value),
    );
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
      attributes.push({ type, value: stringOf(value) });
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

function stringOf(value: DerElement): string {
  switch (value.tag) {
    case Tag.BMP_STRING: {
      const even = Buffer.from(value.content.subarray(0, value.content.length & ~1));
      return even.swap16().toString("utf16le");
    }
    case Tag.T61_STRING:
      return value.content.toString("latin1");
    default:
      return value.content.toString("utf8");
  }
}

function fold(text: string): string {
  return text.normalize("NFKC").trim().replace(/\s+/g, " ").toLowerCase();
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
