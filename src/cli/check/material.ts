/** What was found in files, captures and at live hosts: certificates, CRLs and OCSP responses, and where. */
import type { Bytes } from "../../bytes/bytes.ts";
import { DecodeError } from "../../bytes/reader.ts";
import type { CertificateProfile } from "../../trust/profiles/rule.ts";
import { type Certificate, parseCertificate } from "../../x509/certificate.ts";
import { type Crl, parseCrl } from "../../x509/crl.ts";

export interface Material {
  certificates: Found<Certificate>[];
  crls: Found<Crl>[];
  /** DER, as received: `checkOcspResponse` reads and judges it. */
  ocspResponses: Found<Bytes>[];
  /** What could not be read, one sentence each. */
  problems: string[];
}

export interface Found<T> {
  item: T;
  /** "device.pem", "capture.pcapng: IKE_AUTH of 192.0.2.1". */
  origin: string;
  /** What the way it came suggests that it is: a gateway's if it answered an IKE initiator. */
  suggests?: CertificateProfile;
  /** Why whoever showed it cannot be its owner. */
  disproof?: string;
}

/** What a container holds, DER each. */
export interface Bag {
  certificates: Bytes[];
  crls: Bytes[];
}

/** Input that cannot be read as what it should be; the message says what to do. */
export class UnreadableInput extends Error {
  override readonly name = "UnreadableInput";
}

/** A live host that did not show its certificates; nothing is said about them. */
export class UnreachableHost extends Error {
  override readonly name = "UnreachableHost";
}

export function emptyMaterial(): Material {
  return { certificates: [], crls: [], ocspResponses: [], problems: [] };
}

export function addMaterial(to: Material, from: Material): void {
  to.certificates.push(...from.certificates);
  to.crls.push(...from.crls);
  to.ocspResponses.push(...from.ocspResponses);
  to.problems.push(...from.problems);
}

/** Certificates and CRLs; one that cannot be read is told and does not hide the others. */
export function addBag(bag: Bag, origin: string, material: Material, suggests?: CertificateProfile): void {
  const hint = suggests === undefined ? {} : { suggests };
  const each = (ders: readonly Bytes[], kind: string, add: (der: Bytes) => void) => {
    for (const [index, der] of ders.entries()) {
      try {
        add(der);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
        material.problems.push(`${origin}, ${kind} ${index + 1}: ${error.message}`);
      }
    }
  };
  each(bag.certificates, "certificate", (der) =>
    material.certificates.push({ item: parseCertificate(der), origin, ...hint }),
  );
  each(bag.crls, "CRL", (der) => material.crls.push({ item: parseCrl(der), origin }));
}
