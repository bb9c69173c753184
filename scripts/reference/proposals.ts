/** The keywords of IKE and ESP proposals, from the table that parses them. */
import { Encr, Group, Integ, Prf } from "../../src/ike/codec/numbers.ts";
import { constant, propertiesOf, sourceAt } from "./sources.ts";

export interface ProposalKeyword {
  keyword: string;
  /** What it chooses. */
  kind: string;
  /** As IANA's registry has it: "ENCR_AES_GCM_16 (20), 128-bit key". */
  transform: string;
  /** Only taken with allowWeakAlgorithms. */
  weak: boolean;
}

/** All keywords in the order of the table. */
export function proposalKeywords(): ProposalKeyword[] {
  const table = constant(sourceAt(FILE), "KEYWORDS")?.value;
  const [entries] = table?.type === "NewExpression" ? table.arguments : [];
  if (entries?.type !== "ArrayExpression") throw new Error(`${FILE} has no table KEYWORDS`);
  return entries.elements.map((entry) => {
    const [keyword, says] = entry?.type === "ArrayExpression" ? entry.elements : [];
    if (keyword?.type !== "Literal" || says === undefined) throw new Error(`${FILE}: a keyword has no entry`);
    const properties = propertiesOf(says);
    const [part] = Object.keys(KINDS).filter((name) => properties.has(name));
    if (part === undefined) throw new Error(`${FILE}: "${keyword.value}" chooses nothing that the reference knows`);
    const cipher = propertiesOf(properties.get(part));
    const named = memberName(cipher.get("id") ?? properties.get(part)!);
    const length = cipher.get("keyLength");
    const bits = length?.type === "Literal" && Number(length.value) > 0 ? `, ${length.value}-bit key` : "";
    const { kind, numbers } = KINDS[part]!;
    const number = numbers[named];
    return {
      keyword: String(keyword.value),
      kind,
      transform: `${named}${number === undefined ? "" : ` (${number})`}${bits}`,
      weak: properties.has("weak"),
    };
  });
}

/** "AES_CBC" of `Encr.AES_CBC`. */
function memberName(node: { type: string; property?: unknown }): string {
  const { property } = node;
  if (typeof property === "object" && property !== null && "name" in property) return String(property.name);
  throw new Error(`${FILE}: a keyword's transform is not named`);
}

const FILE = "src/ike/sa/proposal.ts";

const KINDS: Readonly<Record<string, { kind: string; numbers: Readonly<Record<string, number>> }>> = {
  encr: { kind: "encryption", numbers: Encr },
  integ: { kind: "integrity (in IKE also the PRF of that hash, unless one is named)", numbers: Integ },
  prf: { kind: "PRF (IKE only)", numbers: Prf },
  group: { kind: "key exchange", numbers: Group },
  esn: { kind: "extended sequence numbers (ESP only)", numbers: {} },
};
