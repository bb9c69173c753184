/**
 * Imports of src point down the floors only, so that a core can be read, tested and fuzzed without what stands on it.
 *
 * Types count too: a core that knows a type of its shell knows its shell. Folders of one floor do not know each other.
 */
import type { Rule, Tree, Violation } from "./tree.ts";

export const layers: Rule = function* (tree) {
  const homeless = new Set<string>();
  for (const file of tree.files.values()) {
    if (file.area !== "src") continue;
    const folder = folderOf(file.path);
    const floor = FLOOR.get(folder);
    if (floor === undefined) {
      if (homeless.has(folder)) continue;
      homeless.add(folder);
      yield violation(file.path, 1, `src/${folder} is on no floor: give it one in scripts/tidy/layers.ts`);
      continue;
    }
    for (const { target, line } of file.imports) {
      if (target === undefined) continue;
      if (!target.startsWith("src/")) {
        yield violation(file.path, line, `src does not import ${target}: move what it needs into src`);
      } else if (!isBelow(floor, folder, target)) {
        const message = `${folder} is not above ${folderOf(target)}: move the shared part down, or pass it in`;
        yield violation(file.path, line, `${message} (imports ${known(tree, target)})`);
      }
    }
  }
};

function isBelow(floor: number, folder: string, target: string): boolean {
  const other = folderOf(target);
  // A folder without a floor is its own violation.
  return other === folder || (FLOOR.get(other) ?? Number.POSITIVE_INFINITY) > floor;
}

function folderOf(path: string): string {
  return path.split("/")[1]!;
}

function known(tree: Tree, target: string): string {
  return tree.files.has(target) ? target : `${target}, which does not exist`;
}

function violation(path: string, line: number, message: string): Violation {
  return { path, line, rule: "layers", message };
}

/** Top floor first. */
const FLOORS = [
  ["cli"],
  ["lab"],
  ["segw", "henb", "hems", "aaa", "pki"],
  ["web", "conform"],
  ["ipsec"],
  ["ike"],
  ["esp"],
  ["tre"],
  ["eap", "diameter", "radius", "cwmp"],
  ["revocation"],
  ["trust", "http"],
  ["x509"],
  ["config", "store", "observe"],
  ["der"],
  ["sim"],
  ["bytes"],
] as const;

const FLOOR: ReadonlyMap<string, number> = new Map(
  FLOORS.flatMap((folders, floor) => folders.map((folder): [string, number] => [folder, floor])),
);
