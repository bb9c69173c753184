/** The source files that the rules look at, parsed once, and what a rule is. */
import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { type Comment, type ParseResult, type Program, parseSync, type StaticExport } from "oxc-parser";

export type Rule = (tree: Tree) => Iterable<Violation>;

export interface Violation {
  /** Relative to the tree's root, with slashes. */
  path: string;
  line: number;
  /** Its name, for a search in scripts/tidy/. */
  rule: string;
  /** What is wrong, and what to do. */
  message: string;
}

export interface Import {
  specifier: string;
  /** The file of the tree that a relative specifier names; it need not exist. */
  target: string | undefined;
  /** "*" for all that the file exports, and for `import * as`, whose local name is `namespace`. */
  names: readonly string[];
  namespace: string | undefined;
  /** Of all its names: nothing of it is there at run time. */
  typeOnly: boolean;
  dynamic: boolean;
  line: number;
}

export interface Export {
  name: string;
  line: number;
}

export class SourceFile {
  readonly path: string;
  readonly text: string;
  readonly imports: readonly Import[];
  readonly exports: readonly Export[];
  readonly #parsed: ParseResult;
  readonly #lineStarts: readonly number[];
  #program: Program | undefined;

  constructor(path: string, text: string) {
    this.path = path;
    this.text = text;
    this.#lineStarts = [0, ...[...text.matchAll(/\n/g)].map((end) => end.index + 1)];
    this.#parsed = parseSync(path, text);
    const [error] = this.#parsed.errors;
    if (error !== undefined) {
      throw new SyntaxError(`${path}:${this.line(error.labels[0]?.start ?? 0)}: ${error.message}; run tsc for more`);
    }
    this.imports = this.#imports();
    this.exports = this.#exports();
  }

  get comments(): readonly Comment[] {
    return this.#parsed.comments;
  }

  get program(): Program {
    // Made anew at each access of the parser's own getter, and costly.
    this.#program ??= this.#parsed.program;
    return this.#program;
  }

  /** The top folder: "src", "test", "bench" or "scripts". */
  get area(): string {
    return this.path.slice(0, this.path.indexOf("/"));
  }

  /** How many lines it has. */
  get length(): number {
    return this.#lineStarts.length - (this.text.endsWith("\n") ? 1 : 0);
  }

  /** The line, counted from 1, of an offset into the text. */
  line(offset: number): number {
    let [low, high] = [0, this.#lineStarts.length];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.#lineStarts[middle]! <= offset) low = middle;
      else high = middle;
    }
    return low + 1;
  }

  /** The tree's path of what a relative specifier in this file names. */
  resolve(specifier: string): string {
    return posix.join(posix.dirname(this.path), specifier);
  }

  #imports(): Import[] {
    const { staticImports, staticExports, dynamicImports } = this.#parsed.module;
    const found: Import[] = staticImports.map(({ moduleRequest, entries, start }) => ({
      ...this.#named(moduleRequest.value),
      names: entries.map(({ importName }) => nameOf(importName)),
      namespace: entries.find(({ importName }) => importName.kind === "NamespaceObject")?.localName.value,
      typeOnly: entries.length > 0 && entries.every((entry) => entry.isType),
      dynamic: false,
      line: this.line(start),
    }));
    for (const { entries, start } of staticExports) {
      const from = entries[0]?.moduleRequest;
      if (from === undefined || from === null) continue;
      const names = entries.map(({ importName }) => nameOf(importName));
      const typeOnly = entries.every((entry) => entry.isType);
      const line = this.line(start);
      found.push({ ...this.#named(from.value), names, namespace: undefined, typeOnly, dynamic: false, line });
    }
    for (const { moduleRequest, start } of dynamicImports) {
      const literal = /^(["'`])([^$]*)\1$/.exec(this.text.slice(moduleRequest.start, moduleRequest.end));
      if (literal === null) continue;
      const line = this.line(start);
      const loaded = this.#named(literal[2]!);
      found.push({ ...loaded, names: [], namespace: undefined, typeOnly: false, dynamic: true, line });
    }
    return found;
  }

  #named(specifier: string): Pick<Import, "specifier" | "target"> {
    return { specifier, target: specifier.startsWith(".") ? this.resolve(specifier) : undefined };
  }

  #exports(): Export[] {
    return this.#parsed.module.staticExports.flatMap(({ entries }: StaticExport) =>
      entries
        .filter(({ exportName }) => exportName.kind !== "None")
        .map(({ exportName, start }) => ({ name: nameOf(exportName), line: this.line(exportName.start ?? start) })),
    );
  }
}

/** All source files by path, in order of path. */
export interface Tree {
  root: string;
  files: ReadonlyMap<string, SourceFile>;
}

/** Reads and parses every .ts file below the areas; throws a SyntaxError for what does not parse. */
export function readTree(root: string): Tree {
  const paths = AREAS.flatMap((area) => sourcesBelow(root, area)).sort();
  const files = new Map(paths.map((path) => [path, new SourceFile(path, readFileSync(join(root, path), "utf8"))]));
  return { root, files };
}

function sourcesBelow(root: string, folder: string): string[] {
  let entries: ReturnType<typeof list>;
  try {
    entries = list(join(root, folder));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
  return entries.flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return sourcesBelow(root, path);
    return entry.isFile() && path.endsWith(".ts") ? [path] : [];
  });
}

function list(folder: string) {
  return readdirSync(folder, { withFileTypes: true });
}

function nameOf(name: { kind: string; name: string | null }): string {
  return name.name ?? (name.kind === "Default" ? "default" : "*");
}

const AREAS = ["src", "test", "bench", "scripts"] as const;
