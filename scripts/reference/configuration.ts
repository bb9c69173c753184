/**
 * The keys of a configuration file: names, types and defaults from the zod schema that checks it, explanations from the
 * comments that stand above the keys in the source.
 *
 * Rejected: `describe()` in the schemas. The comment is where whoever changes a key looks, and an editor shows it.
 */
import type { Expression } from "oxc-parser";
import { z } from "zod";
import { cidr, duration, fqdn, ipAddress, path, port } from "../../src/config/fields.ts";
import type { SourceFile } from "../tidy/tree.ts";
import { commentBefore, constant, sourceAt } from "./sources.ts";

export interface ConfigKey {
  /** "ike.retransmission.tries", "devices[].chain". */
  path: string;
  /** Markdown. */
  type: string;
  /** The default as it would be written in the file; undefined where there is none. */
  preset: string | undefined;
  required: boolean;
  /** Markdown; empty where the source says nothing. */
  comment: string;
  /** A section, whose keys follow. */
  section: boolean;
  /** Another section whose keys this one takes too; they are not listed again. */
  keysOf: string | undefined;
}

/** All keys of the schema that `constantName` of `file` holds, each section before what is in it. */
export function configKeys(schema: z.ZodType, file: string, constantName: string): ConfigKey[] {
  const source = sourceAt(file);
  const declared = constant(source, constantName);
  if (declared === undefined) throw new Error(`${file} has no constant ${constantName}`);
  const json = z.toJSONSchema(schema, { io: "input", unrepresentable: "any", override: addNames }) as JsonSchema;
  return keysBelow("", json, fieldsOf(source, declared.value), new Map());
}

/** What JSON Schema says, with our names of types as titles and defaults in the form they are written in. */
interface JsonSchema {
  title?: string;
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  anyOf?: JsonSchema[];
  items?: JsonSchema;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  default?: unknown;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxLength?: number;
}

interface Field {
  file: SourceFile;
  value: Expression;
  comment: string | undefined;
  /** The object literal that it stands in, which several sections may share. */
  home: Expression;
}

/** `told` says at which section the keys of an object literal are listed. */
function keysBelow(
  prefix: string,
  json: JsonSchema,
  fields: ReadonlyMap<string, Field>,
  told: Map<Expression, string>,
): ConfigKey[] {
  for (const { home } of fields.values()) if (!told.has(home)) told.set(home, prefix);
  return Object.entries(json.properties ?? {}).flatMap(([name, property]) => {
    const field = fields.get(name);
    if (field !== undefined && told.get(field.home) !== prefix) return [];
    const inner = field === undefined ? undefined : resolve(field.file, field.value);
    const comment = field?.comment ?? inner?.comment ?? (field && scalarComment(field)) ?? "";
    const list = property.items?.properties === undefined ? "" : "[]";
    const section = property.items?.properties === undefined ? property : property.items;
    const isSection = section.properties !== undefined;
    const key: ConfigKey = {
      path: `${prefix}${name}${list}`,
      type: isSection ? (list === "" ? "section" : `list of sections${atLeast(property)}`) : typeText(property),
      preset: isSection || property.default === undefined ? undefined : presetText(property.default),
      required: json.required?.includes(name) ?? false,
      comment,
      section: isSection,
      keysOf: undefined,
    };
    if (!isSection) return [key];
    const fieldsBelow = field === undefined ? new Map<string, Field>() : fieldsOf(field.file, field.value);
    const elsewhere = [...fieldsBelow.values()].map(({ home }) => told.get(home)).find((path) => path !== undefined);
    const keys = keysBelow(`${key.path}.`, section, fieldsBelow, told);
    return [{ ...key, keysOf: elsewhere?.replace(/\.$/, "") }, ...keys];
  });
}

/** The fields of the object schema that an expression makes, by name. */
function fieldsOf(file: SourceFile, expression: Expression): Map<string, Field> {
  const fields = new Map<string, Field>();
  const found = resolve(file, expression);
  if (found?.object.type !== "ObjectExpression") return fields;
  for (const property of found.object.properties) {
    if (property.type === "SpreadElement") {
      const spread = named(found.file, property.argument);
      if (spread?.value.type !== "ObjectExpression") continue;
      collect(spread.file, spread.value, fields);
    }
  }
  collect(found.file, found.object, fields);
  return fields;
}

function collect(file: SourceFile, object: Expression, fields: Map<string, Field>): void {
  if (object.type !== "ObjectExpression") return;
  for (const property of object.properties) {
    if (property.type !== "Property" || property.key.type !== "Identifier") continue;
    const comment = commentBefore(file, property.start);
    fields.set(property.key.name, { file, value: property.value, comment, home: object });
  }
}

/** The object literal behind `z.strictObject({...}).prefault({})`, `z.array(...)` or the name of a constant. */
function resolve(
  file: SourceFile,
  expression: Expression,
): { file: SourceFile; object: Expression; comment: string | undefined } | undefined {
  const constantHere = named(file, expression);
  if (constantHere !== undefined) {
    const found = resolve(constantHere.file, constantHere.value);
    return found && { ...found, comment: constantHere.comment ?? found.comment };
  }
  if (expression.type !== "CallExpression" || expression.callee.type !== "MemberExpression") return undefined;
  const { object, property } = expression.callee;
  const [argument] = expression.arguments;
  const isZod = object.type === "Identifier" && object.name === "z";
  if (!isZod) return resolve(file, object);
  if (argument === undefined || argument.type === "SpreadElement" || property.type !== "Identifier") return undefined;
  if (OBJECTS.has(property.name)) return { file, object: argument, comment: undefined };
  return property.name === "array" ? resolve(file, argument) : undefined;
}

/** The constant that an identifier names, here or where it is imported from. */
function named(file: SourceFile, expression: Expression): Omit<Field, "home"> | undefined {
  if (expression.type !== "Identifier") return undefined;
  const { name } = expression;
  const here = constant(file, name);
  if (here !== undefined) return { file, ...here };
  const imported = file.imports.find(({ names, typeOnly }) => !typeOnly && names.includes(name));
  if (imported?.target === undefined) return undefined;
  const from = sourceAt(imported.target);
  const there = constant(from, name);
  return there && { file: from, ...there };
}

/** The comment above the constant that a key's schema begins with, as `inBand.default("off")` does; not one of a mere type. */
function scalarComment({ file, value }: Field): string | undefined {
  let at = value;
  while (at.type === "CallExpression" && at.callee.type === "MemberExpression") at = at.callee.object;
  const found = named(file, at);
  return found?.file.path === "src/config/fields.ts" ? undefined : found?.comment;
}

/** Called by zod for each schema within, after what it wraps. */
function addNames({ zodSchema, jsonSchema }: { zodSchema: z.core.$ZodTypes; jsonSchema: object }): void {
  const json = jsonSchema as JsonSchema;
  const name = NAMED.find(([schema]) => schema === zodSchema)?.[1];
  if (name !== undefined) json.title = name;
  if (zodSchema instanceof z.ZodURL) json.title = urlText(zodSchema);
  if (!(zodSchema instanceof z.ZodDefault)) return;
  const value: unknown = zodSchema.def.defaultValue;
  json.default = zodSchema.def.innerType === duration ? durationText(Number(value)) : value;
}

/** "`http:` or `https:` URL" of /^https?$/. */
function urlText({ _zod }: z.ZodURL): string {
  const pattern = _zod.def.protocol;
  return `${words(SCHEMES.filter((scheme) => pattern?.test(scheme) ?? true).map((scheme) => `\`${scheme}:\``))} URL`;
}

function typeText(json: JsonSchema): string {
  if (json.title !== undefined) return json.title;
  if (json.const !== undefined) return `\`${json.const}\``;
  if (json.enum !== undefined) return words(json.enum.map((choice) => `\`${choice}\``));
  if (json.anyOf !== undefined) return words(json.anyOf.map(typeText));
  if (json.items !== undefined) {
    const items = typeText(json.items);
    return `list of: ${json.items.anyOf === undefined ? items : `(${items})`}${atLeast(json)}`;
  }
  if (json.type === "boolean") return "`true` or `false`";
  if (json.type === "integer" || json.type === "number") return numberText(json);
  if (json.type === "string")
    return json.maxLength === undefined ? "text" : `text, at most ${json.maxLength} characters`;
  throw new Error(`the reference has no words for the type ${JSON.stringify(json)}`);
}

function numberText({ type, minimum, maximum }: JsonSchema): string {
  const kind = type === "integer" ? "whole number" : "number";
  if (maximum === undefined || maximum === Number.MAX_SAFE_INTEGER) return `${kind}, at least ${minimum ?? 0}`;
  return `${kind}, ${minimum ?? 0} to ${maximum}`;
}

function atLeast({ minItems }: JsonSchema): string {
  return minItems === undefined ? "" : `; at least ${minItems === 1 ? "one" : minItems}`;
}

function presetText(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? "`[]`" : value.map((item) => `\`${item}\``).join(", ");
  return `\`${value}\``;
}

/** Milliseconds in the largest unit that leaves a whole number. */
function durationText(value: number): string {
  if (value === 0) return "0";
  const [unit, length] = UNITS.find(([, milliseconds]) => value % milliseconds === 0)!;
  return `${value / length}${unit}`;
}

function words(choices: readonly string[]): string {
  return choices.length < 2 ? choices.join("") : `${choices.slice(0, -1).join(", ")} or ${choices.at(-1)}`;
}

const SCHEMES = ["http", "https", "ldap", "file"] as const;

const OBJECTS: ReadonlySet<string> = new Set(["object", "strictObject", "looseObject"]);

const NAMED: readonly [z.core.$ZodType, string][] = [
  [duration, "duration"],
  [ipAddress, "IP address"],
  [cidr, "address block"],
  [fqdn, "FQDN"],
  [port, "port"],
  [path, "file or folder"],
];

const UNITS = [
  ["d", 86_400_000],
  ["h", 3600_000],
  ["m", 60_000],
  ["s", 1000],
  ["ms", 1],
] as const;
