/** The nameConstraints extension (RFC 5280 4.2.1.10). */
import type { Bytes } from "../bytes/bytes.ts";
import { contextTag, type DerElement, type DerReader, inside } from "../der/reader.ts";
import { addName, emptyNames, FORM, type GeneralNames, MAX_NAMES } from "./generalNames.ts";

/** Subtrees by form; in `ip` an address and its mask of the same length, 8 or 32 octets together. */
export type Subtrees = GeneralNames;

/** Names below must be within a permitted subtree of their form, if there is one, and within no excluded one. */
export interface NameConstraints {
  permitted: Subtrees;
  excluded: Subtrees;
}

/** Reads NameConstraints; throws DerError. */
export function readNameConstraints(reader: DerReader): NameConstraints {
  const body = reader.sequence("nameConstraints");
  const permitted = body.optional(contextTag(0, "constructed"), "permittedSubtrees");
  const excluded = body.optional(contextTag(1, "constructed"), "excludedSubtrees");
  body.end("nameConstraints");
  return { permitted: readSubtrees(permitted), excluded: readSubtrees(excluded) };
}

/** Address and mask of a subtree of the form iPAddress. */
export function addressAndMask(subtree: Bytes): { address: Bytes; mask: Bytes } {
  const half = subtree.length / 2;
  return { address: subtree.subarray(0, half), mask: subtree.subarray(half) };
}

function readSubtrees(element: DerElement | undefined): Subtrees {
  const names = emptyNames();
  const list = element === undefined ? undefined : inside(element);
  for (let count = 0; list !== undefined && !list.atEnd; count++) {
    if (count >= MAX_NAMES) list.fail("nameConstraints", `more than ${MAX_NAMES} subtrees`);
    const subtree = list.sequence("GeneralSubtree");
    const base = subtree.element("base");
    // RFC 5280 4.2.1.10: minimum is zero, which DER leaves out, and maximum absent.
    subtree.end("GeneralSubtree");
    if (base.tag === FORM.ip) {
      if (base.content.length !== 8 && base.content.length !== 32)
        list.fail("nameConstraints", `iPAddress of ${base.content.length} octets`);
      names.ip.push(base.content);
    } else addName(names, base, "nameConstraints");
  }
  return names;
}
