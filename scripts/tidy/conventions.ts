/** What a reader may rely on in each file: its size, its header, its name, and that nothing was left for later. */
import { Visitor } from "oxc-parser";
import type { Rule, SourceFile, Violation } from "./tree.ts";

export const conventions: Rule = function* (tree) {
  for (const file of tree.files.values()) {
    yield* size(file);
    yield* header(file);
    yield* name(file);
    yield* marks(file);
    yield* casts(file);
  }
};

function* size(file: SourceFile): Generator<Violation> {
  const exception = LONG_FILES.find(({ path }) => path === file.path);
  const usual = file.area === "test" ? TEST_LINE_LIMIT : LINE_LIMIT;
  const limit = exception?.limit ?? usual;
  if (file.length > limit) {
    yield violation(file, limit + 1, "size", `${file.length} lines, more than ${limit}: cut it where its ideas part`);
  } else if (exception !== undefined && file.length <= usual) {
    yield violation(file, 1, "size", "needs no exception in scripts/tidy/conventions.ts: delete it");
  }
}

function* header(file: SourceFile): Generator<Violation> {
  const [first] = file.comments;
  const begins = first?.value.startsWith("*") === true && /^(#!.*\n)?$/.test(file.text.slice(0, first.start));
  if (file.area === "src" && !begins) {
    yield violation(file, 1, "header", "begins without a /** comment */: say what it is, and why so");
  }
}

function* name(file: SourceFile): Generator<Violation> {
  for (const part of file.path.replace(/(\.test)?\.ts$/, "").split("/")) {
    // The last word is what the thing is: a data plane is a plane.
    const empty = part
      .split(/[-_.]|(?<=[a-z0-9])(?=[A-Z])/)
      .at(-1)!
      .toLowerCase();
    if (!EMPTY_WORDS.has(empty)) continue;
    yield violation(file, 1, "name", `"${part}" says "${empty}", which says nothing: name it as the standards do`);
  }
}

function* marks(file: SourceFile): Generator<Violation> {
  for (const { start, end } of file.comments) {
    for (const { 0: mark, index } of file.text.slice(start, end).matchAll(MARK)) {
      const remedy = mark.startsWith("@") ? "mend the type instead" : "do it now, or write an issue";
      yield violation(file, file.line(start + index), "mark", `${mark}: ${remedy}`);
    }
  }
}

function casts(file: SourceFile): Violation[] {
  const found: Violation[] = [];
  new Visitor({
    TSAsExpression({ expression, start }) {
      if (expression.type !== "TSAsExpression" || expression.typeAnnotation.type !== "TSUnknownKeyword") return;
      found.push(violation(file, file.line(start), "cast", "as unknown as: check the value, or mend the type"));
    },
  }).visit(file.program);
  return found;
}

function violation(file: SourceFile, line: number, rule: string, message: string): Violation {
  return { path: file.path, line, rule, message };
}

const LINE_LIMIT = 500;

/** A file of tests is a list, read by its names. */
const TEST_LINE_LIMIT = 700;

const LONG_FILES: readonly { path: string; limit: number; reason: string }[] = [
  {
    path: "src/ike/endpoint.ts",
    limit: 600,
    reason: "the one table of SAs by SPI, peer and timer; its parts would share all of its fields",
  },
];

const EMPTY_WORDS: ReadonlySet<string> = new Set(["util", "utils", "helper", "helpers", "manager", "data", "misc"]);

const MARK = /\b(?:TODO|FIXME|XXX|HACK)\b|@ts-(?:ignore|expect-error|nocheck)/g;
