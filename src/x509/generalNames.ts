/** Names by form: what certificates are for, what constraints restrict, where CRLs are (RFC 5280 4.2.1.6). */
import { type Bytes, sameBytes } from "../bytes/bytes.ts";
import { formatIp } from "../bytes/ip.ts";
import { type DerElement, DerError, type DerReader, inside } from "../der/reader.ts";
import { type Name, readName } from "./name.ts";

/** Names by form (RFC 5280 4.2.1.6). */
export interface GeneralNames {
  dns: readonly string[];
  /** 4 or 16 octets each. */
  ip: readonly Bytes[];
  email: readonly string[];
  uri: readonly string[];
  directory: readonly Name[];
  /** Tag numbers of names of other forms, which are not read: [0] otherName, [3] x400Address, [5], [8]. */
  others: readonly number[];
}

/** Reads the content of a GeneralNames; throws DerError. */
export function readGeneralNames(reader: DerReader, field: string): GeneralNames {
  const names = emptyNames();
  for (let count = 0; !reader.atEnd; count++) {
    if (count >= MAX_NAMES) reader.fail(field, `more than ${MAX_NAMES} names`);
    const name = reader.element(field);
    if (name.tag === FORM.ip) {
      if (name.content.length !== 4 && name.content.length !== 16)
        reader.fail(field, `iPAddress of ${name.content.length} octets`);
      names.ip.push(name.content);
    } else addName(names, name, field);
  }
  return names;
}

/** Puts a name of any form but iPAddress, whose length depends on its use, to the others. */
export function addName(names: NamesBeingRead, name: DerElement, field: string): void {
  if (name.tag === FORM.email) names.email.push(ia5(name, `${field}.rfc822Name`));
  else if (name.tag === FORM.dns) names.dns.push(ia5(name, `${field}.dNSName`));
  else if (name.tag === FORM.uri) names.uri.push(ia5(name, `${field}.uniformResourceIdentifier`));
  else if (name.tag === FORM.directory) names.directory.push(readName(inside(name), `${field}.directoryName`));
  else names.others.push(name.tag & 0x1f);
}

/** Names that are still being added to. */
export interface NamesBeingRead {
  dns: string[];
  ip: Bytes[];
  email: string[];
  uri: string[];
  directory: Name[];
  others: number[];
}

/** No names at all. */
export function emptyNames(): NamesBeingRead {
  return { dns: [], ip: [], email: [], uri: [], directory: [], others: [] };
}

/** All names of a certificate as people write them. */
export function namesOf(names: GeneralNames | undefined): string[] {
  return names === undefined ? [] : [...names.dns, ...names.ip.map(formatIp), ...names.email, ...names.uri];
}

/** True if a name stands in both, as distribution points are matched (RFC 5280 6.3.3 b 2 i). */
export function shareName(a: GeneralNames, b: GeneralNames): boolean {
  return (
    a.directory.some((name) => b.directory.some((other) => name.equals(other))) ||
    a.uri.some((name) => b.uri.includes(name)) ||
    a.dns.some((name) => b.dns.includes(name)) ||
    a.email.some((name) => b.email.includes(name)) ||
    a.ip.some((name) => b.ip.some((other) => sameBytes(name, other)))
  );
}

/** An IA5String without control characters: names are compared, and shown to people. */
export function ia5({ content, offset }: DerElement, field: string): string {
  const text = content.toString("latin1");
  if (!PRINTABLE.test(text)) throw new DerError(field, offset, "characters other than printable ASCII");
  return text;
}

/** Tags of the forms that are read (RFC 5280 4.2.1.6). */
export const FORM = { email: 0x81, dns: 0x82, directory: 0xa4, uri: 0x86, ip: 0x87 } as const;
/** Names in one extension. */
export const MAX_NAMES = 256;
const PRINTABLE = /^[\x20-\x7e]*$/;
