/**
 * AVPs read and written by a grammar: the dictionary's names and values in, AVPs out, and back.
 *
 * Refusals are those of RFC 6733 7.1: an AVP that is missing, occurs too often, has a length or value its format does
 * not allow, or has its M bit set and is not understood. The first one found is reported, with its Failed-AVP.
 */
import { Reader } from "../../bytes/reader.ts";
import { Writer } from "../../bytes/writer.ts";
import { type Avp, readAvps, writeAvp } from "./avp.ts";
import { AVPS, type AvpDefinition, type AvpName, avpName, type Grammar } from "./dictionary.ts";
import { DiameterError } from "./error.ts";
import { ResultCode } from "./numbers.ts";
import { type BasicValues, FORMATS } from "./values.ts";

type Definitions = typeof AVPS;

/** What an AVP of that name holds. */
export type ValueOf<N> = N extends AvpName
  ? Definitions[N] extends { readonly format: "Grouped"; readonly members: infer G extends Grammar }
    ? Values<G>
    : Definitions[N] extends { readonly format: infer F extends keyof BasicValues }
      ? BasicValues[F]
      : readonly Avp[]
  : never;

/** What a message or group of a grammar holds, by AVP name. */
export type Values<G extends Grammar> = { [N in G["required"][number]]: ValueOf<N> } & {
  [N in G["optional"][number]]?: ValueOf<N>;
} & { [N in G["repeated"][number]]?: readonly ValueOf<N>[] };

/** What to do with AVPs that are not understood though their M bit is set. */
export type Strictness = "refuse" | "ignore";

/** Takes `avps` apart by `grammar`; throws DiameterError. `owner` names the command or group in errors. */
export function readValues<G extends Grammar>(
  grammar: G,
  avps: readonly Avp[],
  owner: string,
  unknown: Strictness = "refuse",
): Values<G> {
  return read(grammar, avps, owner, unknown, 0) as Values<G>;
}

/** Like `readValues` for an answer that failed: what its grammar requires may be missing (RFC 6733 7.2). */
export function readPartialValues<G extends Grammar>(
  grammar: G,
  avps: readonly Avp[],
  owner: string,
): Partial<Values<G>> {
  return read(
    { ...grammar, required: [], optional: [...grammar.required, ...grammar.optional] },
    avps,
    owner,
    "ignore",
    0,
  ) as Partial<Values<G>>;
}

/** AVPs of `values` in the order of the grammar. */
export function writeValues<G extends Grammar>(grammar: G, values: Values<G>): Avp[] {
  return write(grammar, values);
}

function read(
  grammar: Grammar,
  avps: readonly Avp[],
  owner: string,
  unknown: Strictness,
  depth: number,
): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const avp of avps) {
    const name = avpName(avp.code, avp.vendor);
    const repeated = name !== undefined && grammar.repeated.includes(name);
    if (name === undefined || !(repeated || grammar.required.includes(name) || grammar.optional.includes(name))) {
      if (avp.mandatory && unknown === "refuse")
        fail(ResultCode.AVP_UNSUPPORTED, `${owner}: AVP ${name ?? avp.code}`, "is mandatory and not understood", avp);
      continue;
    }
    const value = readOne(AVPS[name], name, avp, unknown, depth);
    if (repeated) {
      const list = values[name] as unknown[] | undefined;
      if (list === undefined) values[name] = [value];
      else list.push(value);
    } else if (Object.hasOwn(values, name)) {
      fail(ResultCode.AVP_OCCURS_TOO_MANY_TIMES, `${owner}: ${name}`, "occurs more than once", avp);
    } else values[name] = value;
  }
  for (const name of grammar.required) {
    if (!Object.hasOwn(values, name))
      fail(ResultCode.MISSING_AVP, `${owner}: ${name}`, "is missing", example(name as AvpName));
  }
  return values;
}

function readOne(definition: AvpDefinition, name: string, avp: Avp, unknown: Strictness, depth: number): unknown {
  if (definition.format === "Grouped" || definition.format === "AnyAvps") {
    if (depth >= MAX_DEPTH) fail(ResultCode.INVALID_AVP_VALUE, name, `nested more than ${MAX_DEPTH} deep`, avp);
    const members = readAvps(new Reader(avp.data), name);
    return definition.format === "AnyAvps" ? members : read(definition.members, members, name, unknown, depth + 1);
  }
  const format = FORMATS[definition.format];
  const { length } = avp.data;
  if (length < format.least || (format.exactly !== undefined && length !== format.exactly))
    fail(
      ResultCode.INVALID_AVP_LENGTH,
      name,
      `${length} octets, ${definition.format} has ${format.exactly === undefined ? "at least " : ""}${format.least}`,
      avp,
    );
  const value = format.decode(avp.data);
  if (value === undefined) fail(ResultCode.INVALID_AVP_VALUE, name, `holds no ${definition.format}`, avp);
  return value;
}

function write(grammar: Grammar, values: Record<string, unknown>): Avp[] {
  const avps: Avp[] = [];
  for (const name of [...grammar.required, ...grammar.optional]) {
    const value = values[name];
    if (value !== undefined) avps.push(writeOne(name as AvpName, value));
  }
  for (const name of grammar.repeated) {
    for (const value of (values[name] as readonly unknown[] | undefined) ?? [])
      avps.push(writeOne(name as AvpName, value));
  }
  return avps;
}

function writeOne(name: AvpName, value: unknown): Avp {
  const definition: AvpDefinition = AVPS[name];
  const { code, vendor, mandatory } = definition;
  if (definition.format === "Grouped" || definition.format === "AnyAvps") {
    const members =
      definition.format === "AnyAvps"
        ? (value as readonly Avp[])
        : write(definition.members, value as Record<string, unknown>);
    const writer = new Writer(128);
    for (const member of members) writeAvp(writer, member);
    return { code, vendor, mandatory, data: writer.view() };
  }
  const encode = FORMATS[definition.format].encode as (value: unknown) => Buffer;
  return { code, vendor, mandatory, data: encode(value) };
}

/** An AVP with data of zeros and the least length: says which one is missing (RFC 6733 7.5). */
function example(name: AvpName): Avp {
  const definition: AvpDefinition = AVPS[name];
  const { code, vendor, mandatory, format } = definition;
  const least = format === "Grouped" || format === "AnyAvps" ? 0 : FORMATS[format].least;
  return { code, vendor, mandatory, data: Buffer.alloc(least) };
}

function fail(resultCode: number, field: string, problem: string, failedAvp: Avp): never {
  throw new DiameterError(resultCode, field, 0, problem, failedAvp);
}

/** Grammars nest three deep; a dictionary that is extended does not get far beyond. */
const MAX_DEPTH = 6;
