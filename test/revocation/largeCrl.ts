/** CRLs of any number of entries, made without a pause: as a busy manufacturer's CA would publish them. */
import { createHash } from "node:crypto";
import type { Bytes } from "../../src/bytes/bytes.ts";
import { element, explicit, integer, sequence, time } from "../../src/der/writer.ts";
import { authorityKeyIdentifier, extension, signed } from "../../src/x509/build.ts";
import { Oid } from "../../src/x509/oids.ts";
import { DAY, type Made, NOW } from "../x509/made.ts";

/** Serial number `index` of a large CRL: 16 octets that look random, as CAs make them. */
export function largeSerial(index: number): Bytes {
  const serial = createHash("md5").update(`serial ${index}`).digest();
  serial[0] = 0x40 | (serial[0]! & 0x3f);
  return serial;
}

/** A signed CRL with `count` entries, each with a date and every second one with a reason: some 42 octets an entry. */
export function largeCrl(ca: Made, count: number, validity = { thisUpdate: NOW - DAY, nextUpdate: NOW + DAY }): Bytes {
  const date = time(NOW - 10 * DAY);
  const reason = Buffer.from("300c300a0603551d1504030a0101", "hex");
  const entries = Buffer.allocUnsafe(count * (2 + 18 + date.length + reason.length));
  let at = 0;
  for (let index = 0; index < count; index++) {
    const withReason = index % 2 === 0;
    entries[at] = 0x30;
    entries[at + 1] = 18 + date.length + (withReason ? reason.length : 0);
    entries[at + 2] = 0x02;
    entries[at + 3] = 16;
    at += 4;
    at += largeSerial(index).copy(entries, at);
    at += date.copy(entries, at);
    if (withReason) at += reason.copy(entries, at);
  }
  const tbs = sequence(
    integer(1),
    ca.signer.algorithm,
    ca.certificate.subject.der,
    time(validity.thisUpdate),
    time(validity.nextUpdate),
    element(0x30, entries.subarray(0, at)),
    explicit(
      0,
      sequence(
        extension(authorityKeyIdentifier(ca.certificate.extensions.subjectKeyId!)),
        extension({ oid: Oid.crlNumber, critical: false, value: integer(7) }),
      ),
    ),
  );
  return signed(tbs, ca.signer);
}
