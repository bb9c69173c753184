/**
 * A requirement id that a comment or a test's name cites ("7.2.3-4", "A.1-9") stands in docs/requirements.md; a
 * mistyped one would count as proof of nothing.
 *
 * Clauses of RFCs and versions look similar: a range of clauses ("2.1-2.3") and a Debian version ("5.9.8-5+deb12u6")
 * are not taken for an id.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { testNames } from "./testCalls.ts";
import type { Rule, SourceFile } from "./tree.ts";

export const requirementIds: Rule = function* (tree) {
  const known = new Set(rowIds(readList(tree.root)));
  for (const file of tree.files.values()) {
    for (const { text, offset } of citing(file)) {
      for (const { 0: id, index } of text.matchAll(ID)) {
        if (known.has(id)) continue;
        const message = `there is no requirement ${id} in ${LIST}: cite one that is there, or add it`;
        yield { path: file.path, line: file.line(offset + index), rule: "requirement-ids", message };
      }
    }
  }
};

function citing(file: SourceFile): { text: string; offset: number }[] {
  const comments = file.comments.map(({ start, end }) => ({ text: file.text.slice(start, end), offset: start }));
  return file.area === "test" ? [...comments, ...testNames(file)] : comments;
}

function readList(root: string): string {
  try {
    return readFileSync(join(root, LIST), "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
    throw error;
  }
}

function rowIds(list: string): string[] {
  return [...list.matchAll(/^\| (\S+-\d+) \|/gm)].map(([, id]) => id!);
}

const LIST = "docs/requirements.md";

const ID = /(?<![\w.-])(?:[A-Z]|\d)(?:\.(?:\d+|x))+-\d+(?!\.?\d)(?![+~\w])/g;
