/**
 * The keys of a configuration file: names, types and defaults from the zod schema that checks it, explanations from the
 * comments that stand above the keys in the source.
 *
 * Rejected: `describe()` in the schemas. The comment is where whoever changes a key looks, and an editor shows it.
 */
import type { Expression } from "oxc-parser";
import { z } from "zod";
import { cidr, duration, fqdn, ipAddress, path, port } from "../../src/config/fields.ts";
import { type Field, type Shape, scalarComment, shapeOf } from "./schemaSource.ts";
import { constant, sourceAt } from "./sources.ts";

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
  return keysBelow("", json, shapeOf(source, declared.value).fields, new Map());
}

/** What JSON Schema says, with our names of types as titles and defaults in the form they are written in. */
interface JsonSchema {
  title?: string;
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  items?: JsonSchema;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  default?: unknown;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxLength?: number;
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
    if (field !== undefined && isToldElsewhere(field, prefix, told)) return [];
    const shape = field && shapeOf(field.file, field.value);
    const isList = property.items?.properties !== undefined;
    const section = isList ? property.items! : property;
    const path = `${prefix}${name}${isList ? "[]" : ""}`;
    const key: ConfigKey = {
      path,
      type: "section",
      preset: undefined,
      required: json.required?.includes(name) ?? false,
      comment: field?.comment ?? shape?.comment ?? (field && scalarComment(field)) ?? "",
      section: true,
      keysOf: undefined,
    };
    if (section.oneOf !== undefined) return [key, ...keysOfVariants(path, section.oneOf, shape?.variants ?? [], told)];
    if (section.properties === undefined) {
      const preset = property.default === undefined ? undefined : presetText(property.default);
      return [{ ...key, type: typeText(property), preset, section: false }];
    }
    const fieldsBelow = shape?.fields ?? new Map<string, Field>();
    const elsewhere = [...fieldsBelow.values()].find((one) => isToldElsewhere(one, `${path}.`, told));
    const keysOf = elsewhere === undefined ? undefined : told.get(elsewhere.home)!.replace(/\.$/, "");
    return [{ ...key, keysOf }, ...keysBelow(`${path}.`, section, fieldsBelow, told)];
  });
}

/** Large sections that several others share are told once; of small ones nobody wants to look elsewhere. */
function isToldElsewhere({ home }: Field, prefix: string, told: ReadonlyMap<Expression, string>): boolean {
  const size = home.type === "ObjectExpression" ? home.properties.length : 0;
  const at = told.get(home);
  return size > SMALL && at !== undefined && at !== prefix;
}

/** Keys of a section that has one form or another, as its `protocol` or `kind` says. */
function keysOfVariants(
  path: string,
  variants: readonly JsonSchema[],
  shapes: readonly Shape[],
  told: Map<Expression, string>,
): ConfigKey[] {
  return variants.flatMap((variant, index) => {
    const [name, { const: form }] = Object.entries(variant.properties ?? {}).find(([, { const: value }]) => value)!;
    const keys = keysBelow(`${path}.`, variant, shapes[index]?.fields ?? new Map(), told);
    return keys.map((key) =>
      key.path === `${path}.${name}` ? key : { ...key, comment: `With \`${name}: ${form}\`: ${key.comment}` },
    );
  });
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

/** Keys of a section that is listed again wherever it is used. */
const SMALL = 4;

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
