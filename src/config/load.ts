/**
 * Configuration files: YAML, checked against a zod schema, every problem at once with its line and what to do.
 */
import { type Document, isMap, isScalar, LineCounter, parseDocument } from "yaml";
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
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const where = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  if (document.errors.length > 0)
    throw new ConfigError(document.errors.map((error) => `${where(error.pos[0])}: ${error.message}`));
  const parsed = schema.safeParse(document.toJS() ?? {});
  if (parsed.success) return parsed.data;
  throw new ConfigError(parsed.error.issues.flatMap((issue) => describe(issue, document, schema, where)));
}

function describe(
  issue: z.core.$ZodIssue,
  document: Document,
  schema: z.ZodType,
  where: (offset: number) => string,
): string[] {
  const path = issue.path.map(String);
  if (issue.code === "unrecognized_keys") {
    const known = keysAt(schema, path);
    return issue.keys.map((key) => {
      const meant = nearest(key, known);
      const advice = meant === undefined ? `known here are ${known.join(", ")}` : `did you mean "${meant}"?`;
      return `${where(offsetOf(document, [...path, key], true))}: "${[...path, key].join(".")}" is no known key; ${advice}`;
    });
  }
  const name = path.length === 0 ? "the file" : `"${path.join(".")}"`;
  return [`${where(offsetOf(document, path, false))}: ${name}: ${issue.message}`];
}

/** Where a path stands in the file, or where its nearest parent does. */
function offsetOf(document: Document, path: readonly string[], key: boolean): number {
  for (let length = path.length; length > 0; length--) {
    const parent = length === 1 ? document.contents : document.getIn(path.slice(0, length - 1), true);
    const last = path[length - 1]!;
    if (isMap(parent)) {
      const pair = parent.items.find((item) => isScalar(item.key) && String(item.key.value) === last);
      const node = key && length === path.length ? pair?.key : (pair?.value ?? pair?.key);
      const range = (node as { range?: [number, number, number] | null } | null | undefined)?.range;
      if (range !== undefined && range !== null) return range[0];
    }
    const node = document.getIn(path.slice(0, length), true) as
      | { range?: [number, number, number] | null }
      | null
      | undefined;
    if (node?.range !== undefined && node.range !== null) return node.range[0];
  }
  return 0;
}

/** Keys that the object schema at `path` knows; where it may take several forms, those of all of them. */
function keysAt(schema: z.ZodType, path: readonly string[]): string[] {
  let here = forms(schema);
  for (const step of path) {
    here = here.flatMap((form) => {
      if (form instanceof z.ZodObject) return forms(form.shape[step]);
      return form instanceof z.ZodArray ? forms(form.element) : [];
    });
  }
  return [...new Set(here.flatMap((form) => (form instanceof z.ZodObject ? Object.keys(form.shape) : [])))];
}

function forms(schema: unknown): unknown[] {
  const here = unwrap(schema);
  return here instanceof z.ZodUnion ? here.options.flatMap(forms) : [here];
}

function unwrap(schema: unknown): unknown {
  let here = schema;
  while (here instanceof z.ZodOptional || here instanceof z.ZodDefault || here instanceof z.ZodPrefault)
    here = here.def.innerType;
  return here;
}
