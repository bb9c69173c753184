/**
 * No dead code: an export that no other file imports, and a file that nothing reaches.
 *
 * A type that stands in the signature of a used export is used: whoever calls a function may name what it returns.
 * Rejected: to hide such types until someone imports them, which would move `export` to and fro.
 *
 * Tests and benchmarks count as users. A name that a file loads by `import()` counts as used when it stands in that
 * file at all, because what becomes of the loaded object would need types to know. A file is also reached when a string
 * in a reached file names it by a relative path: a worker, or a script that a test starts.
 */
import { type Expression, type TSTypeName, Visitor } from "oxc-parser";
import type { Import, Rule, SourceFile, Tree } from "./tree.ts";

export const unusedCode: Rule = function* (tree) {
  const reached = reachedFiles(tree);
  for (const file of tree.files.values()) {
    if (!reached.has(file.path)) {
      yield { path: file.path, line: 1, rule: "dead-file", message: "nothing reaches this file: use it or delete it" };
    }
  }
  const used = usedNames(tree);
  for (const file of tree.files.values()) {
    const imported = used.get(file.path) ?? new Set();
    if (!reached.has(file.path) || isEntryPoint(file.path) || imported.has("*")) continue;
    const names = withTheirTypes(file, imported);
    for (const { name, line } of file.exports) {
      if (names.has(name)) continue;
      const message = `no other file imports ${name}: make it private or delete it`;
      yield { path: file.path, line, rule: "dead-export", message };
    }
  }
};

/** What each file's importers take from it, by path. */
function usedNames(tree: Tree): Map<string, Set<string>> {
  const used = new Map<string, Set<string>>();
  for (const file of tree.files.values()) {
    for (const imported of file.imports) {
      const target = tree.files.get(imported.target ?? "");
      if (target === undefined || target === file) continue;
      const names = used.get(target.path) ?? new Set();
      used.set(target.path, names);
      for (const name of namesTaken(file, imported, target)) names.add(name);
    }
  }
  return used;
}

function namesTaken(file: SourceFile, imported: Import, target: SourceFile): Iterable<string> {
  const { namespace, names, dynamic } = imported;
  if (dynamic) {
    return target.exports.map((exported) => exported.name).filter((name) => mentions(file.text, `\\b${name}\\b`));
  }
  if (namespace === undefined) return names;
  const own = target.exports.map((exported) => exported.name);
  return own.filter((name) => mentions(file.text, `\\b${namespace}\\.${name}\\b`));
}

function mentions(text: string, pattern: string): boolean {
  return new RegExp(pattern).test(text);
}

/** These exports, and the exports that their signatures name. */
function withTheirTypes(file: SourceFile, names: ReadonlySet<string>): Set<string> {
  const signatures = namedInSignatures(file);
  const all = new Set<string>();
  const waiting = [...names];
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    if (all.has(name)) continue;
    all.add(name);
    waiting.push(...(signatures.get(name) ?? []));
  }
  return all;
}

/** For each exported declaration the types that stand in it outside of function bodies. */
function namedInSignatures(file: SourceFile): Map<string, Set<string>> {
  const signatures = new Map<string, Set<string>>();
  let exported: Set<string> | undefined;
  let bodies = 0;
  const mention = (name: TSTypeName | Expression) => {
    if (bodies === 0 && name.type === "Identifier") exported?.add(name.name);
  };
  new Visitor({
    ExportNamedDeclaration({ start, end }) {
      exported = new Set();
      const first = file.line(start);
      const last = file.line(end);
      for (const { name, line } of file.exports) if (line >= first && line <= last) signatures.set(name, exported);
    },
    "ExportNamedDeclaration:exit"() {
      exported = undefined;
    },
    BlockStatement() {
      bodies += 1;
    },
    "BlockStatement:exit"() {
      bodies -= 1;
    },
    TSTypeReference: ({ typeName }) => mention(typeName),
    TSTypeQuery: ({ exprName }) => exprName.type !== "TSImportType" && mention(exprName),
    TSInterfaceHeritage: ({ expression }) => mention(expression),
    TSClassImplements: ({ expression }) => mention(expression),
  }).visit(file.program);
  return signatures;
}

function reachedFiles(tree: Tree): Set<string> {
  const reached = new Set<string>();
  const waiting = [...tree.files.keys()].filter(isEntryPoint);
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const file = tree.files.get(path);
    if (file === undefined || reached.has(path)) continue;
    reached.add(path);
    for (const { target } of file.imports) if (target !== undefined) waiting.push(target);
    waiting.push(...namedFiles(file));
  }
  return reached;
}

/** Files that a string of this file names by a relative path, with or without their ending. */
function namedFiles(file: SourceFile): string[] {
  const named: string[] = [];
  const add = (text: string) => {
    if (!/^\.\.?\//.test(text)) return;
    const path = file.resolve(text);
    named.push(path.endsWith(".ts") ? path : `${path}.ts`);
  };
  new Visitor({
    Literal({ value }) {
      if (typeof value === "string") add(value);
    },
    TemplateElement({ value }) {
      add(value.cooked ?? "");
    },
  }).visit(file.program);
  return named;
}

function isEntryPoint(path: string): boolean {
  return ENTRY_POINTS.some((entry) => entry.test(path));
}

/** What starts by itself, is loaded by Node, or is what others import (package.json: exports), and so may be imported by nobody, nor its exports. */
const ENTRY_POINTS = [
  /^src\/(cli\/main|trust\/index)\.ts$/,
  /\.test\.ts$/,
  /^bench\/main\.ts$/,
  /^scripts\/[^/]+\.ts$/,
] as const;
