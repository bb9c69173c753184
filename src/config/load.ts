/**
 * Configuration files: YAML, checked against a zod schema, every problem at once with its line and what to do.
 */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type ParsedNode,
  parseDocument,
  visit,
} from "yaml";
import { z } from "zod";
import { nearest } from "./nearest.ts";

/** A configuration that cannot be used; the message lists every problem, one a line. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

/** Reads `text` as a configuration of `schema`; throws ConfigError whose problems begin with "file:line:column". */
export function loadConfig<S extends z.ZodType>(schema: S, text: string, file: string): z.output<S> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: "error" });
  const refuse = (problems: readonly Problem[]): never => {
    const inOrder = problems.toSorted((a, b) => a.offset - b.offset);
    throw new ConfigError(
      inOrder.map(({ offset, message }) => {
        const { line, col } = lines.linePos(offset);
        return `${file}:${line}:${col}: ${message}`;
      }),
    );
  };
  const errors = [...document.errors, ...document.warnings];
  if (errors.length > 0) return refuse(errors.map(({ pos, message }) => ({ offset: pos[0], message })));
  let value: unknown;
  try {
    value = document.toJS() ?? {};
  } catch (error) {
    return refuse([whyNoValue(document, error)]);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  return refuse(parsed.error.issues.flatMap((issue) => describe(issue, { document, schema, value })));
}

interface Problem {
  offset: number;
  message: string;
}

interface Source {
  document: Document;
  schema: z.ZodType;
  value: unknown;
}

function describe(issue: z.core.$ZodIssue, source: Source): Problem[] {
  const { document, schema, value } = source;
  const path = issue.path.map(String);
  const name = path.length === 0 ? "the file" : `"${path.join(".")}"`;
  const offset = offsetOf(document, path, "value");
  switch (issue.code) {
    case "unrecognized_keys": {
      const known = keysAt(schema, path);
      return issue.keys.map((key) => {
        const keyPath = [...path, key];
        const message = `"${keyPath.join(".")}" is no known key; ${adviceFor(key, known)}`;
        return { offset: offsetOf(document, keyPath, "key"), message };
      });
    }
    case "invalid_type": {
      const found = valueAt(value, path);
      if (found === undefined) return [{ offset, message: `${name} is missing: write a value (${issue.expected})` }];
      if (found === null) return [{ offset, message: `${name} has no value: write one (${issue.expected})` }];
      break;
    }
    case "invalid_union": {
      // What the schema says itself is better than anything about one of its members.
      if (issue.message !== UNTOLD) break;
      const [closest] = issue.errors.toSorted((a, b) => distance(a) - distance(b));
      if (closest === undefined || distance(closest) === Infinity) break;
      return closest.flatMap((inner) => describe({ ...inner, path: [...issue.path, ...inner.path] }, source));
    }
  }
  return [{ offset, message: `${name}: ${issue.message}` }];
}

function adviceFor(key: string, known: readonly string[]): string {
  if (known.length === 0) return "no key is known here";
  const meant = nearest(key, known);
  return meant === undefined ? `known here are ${known.join(", ")}` : `did you mean "${meant}"?`;
}

/** How far a value is from a member of a union: by its problems, and infinitely if it is of another type altogether. */
function distance(issues: readonly z.core.$ZodIssue[]): number {
  return issues.some(({ code, path }) => code === "invalid_type" && path.length === 0) ? Infinity : issues.length;
}

/** Why a document without errors has no value: aliases without an anchor, or more of them than a person writes. */
function whyNoValue(document: Document, error: unknown): Problem {
  if (!(error instanceof ReferenceError)) throw error;
  const problem = { offset: 0, message: error.message };
  visit(document, {
    Alias(_key, alias) {
      if (alias.resolve(document) !== undefined) return undefined;
      problem.offset = startOf(alias) ?? 0;
      problem.message = `no anchor "&${alias.source}" stands before this`;
      return visit.BREAK;
    },
  });
  return problem;
}

/** Where the value or the key of a path stands in the file, or where its nearest parent does. */
function offsetOf(document: Document, path: readonly string[], what: "key" | "value"): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const [depth, step] of path.entries()) {
    if (isAlias(node)) node = node.resolve(document);
    let next: unknown;
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === step);
      next = what === "key" && depth === path.length - 1 ? pair?.key : (pair?.value ?? pair?.key);
    } else if (isSeq(node)) {
      next = node.items[Number(step)];
    }
    const start = startOf(next);
    if (start === undefined) break;
    offset = start;
    node = next;
  }
  return offset;
}

function startOf(node: unknown): number | undefined {
  return (node as Node | ParsedNode | null | undefined)?.range?.[0];
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (here, step) => (typeof here === "object" && here !== null ? (here as Record<string, unknown>)[step] : undefined),
    value,
  );
}

/** Keys that the object schemas at `path` know. */
function keysAt(schema: unknown, path: readonly string[]): string[] {
  const here = unwrap(schema);
  if (here instanceof z.ZodUnion) return [...new Set(here.options.flatMap((option) => keysAt(option, path)))];
  const [step, ...rest] = path;
  if (step === undefined) return here instanceof z.ZodObject ? Object.keys(here.shape) : [];
  if (here instanceof z.ZodObject) return keysAt(here.shape[step], rest);
  if (here instanceof z.ZodArray) return keysAt(here.element, rest);
  if (here instanceof z.ZodRecord) return keysAt(here.valueType, rest);
  return [];
}

function unwrap(schema: unknown): unknown {
  let here = schema;
  for (;;) {
    if (here instanceof z.ZodPipe) here = here.def.in;
    else if (here instanceof z.ZodOptional || here instanceof z.ZodNullable) here = here.def.innerType;
    else if (here instanceof z.ZodDefault || here instanceof z.ZodPrefault) here = here.def.innerType;
    else if (here instanceof z.ZodReadonly) here = here.def.innerType;
    else return here;
  }
}

/** zod's words where a union has none of its own. */
const UNTOLD = "Invalid input";
