/**
 * Zod schemas as they stand in the source: which fields an object schema has, where each is written, and the comment above
 * it. Followed are names of constants, imported ones too, `...spread`, `.extend({...})`, and whatever is called on a schema.
 */
import type { Expression } from "oxc-parser";
import type { SourceFile } from "../tidy/tree.ts";
import { commentBefore, constant, sourceAt } from "./sources.ts";

export interface Field {
  file: SourceFile;
  /** The schema of its value. */
  value: Expression;
  comment: string | undefined;
  /** The object literal that it stands in, which several sections may share. */
  home: Expression;
}

/** What an expression makes: an object schema, an array of one, or a choice between several. */
export interface Shape {
  fields: ReadonlyMap<string, Field>;
  /** Of a discriminated union, in its order. */
  variants: readonly Shape[];
  /** Above the constant that holds it. */
  comment: string | undefined;
}

export function shapeOf(file: SourceFile, expression: Expression): Shape {
  const held = constantNamed(file, expression);
  if (held !== undefined) {
    const shape = shapeOf(held.file, held.value);
    return { ...shape, comment: held.comment ?? shape.comment };
  }
  if (expression.type !== "CallExpression" || expression.callee.type !== "MemberExpression") return NONE;
  const { object, property } = expression.callee;
  if (property.type !== "Identifier") return NONE;
  const [first, second] = expression.arguments.filter((argument) => argument.type !== "SpreadElement");
  if (object.type !== "Identifier" || object.name !== "z") {
    const shape = shapeOf(file, object);
    if (property.name !== "extend" || first === undefined) return shape;
    return { ...shape, fields: new Map([...shape.fields, ...fieldsOf(file, first)]) };
  }
  if (first === undefined) return NONE;
  if (OBJECTS.has(property.name)) return { ...NONE, fields: fieldsOf(file, first) };
  if (property.name === "array") return shapeOf(file, first);
  if (property.name !== "discriminatedUnion" || second?.type !== "ArrayExpression") return NONE;
  const variants = second.elements.filter((element) => element !== null && element.type !== "SpreadElement");
  return { ...NONE, variants: variants.map((variant) => shapeOf(file, variant)) };
}

/** The comment above the constant that a key's schema begins with, as `inBand.default("off")` does. */
export function scalarComment({ file, value }: Field): string | undefined {
  let at = value;
  while (at.type === "CallExpression" && at.callee.type === "MemberExpression") at = at.callee.object;
  return constantNamed(file, at)?.comment;
}

/** The fields of an object literal, by name. */
function fieldsOf(file: SourceFile, literal: Expression): Map<string, Field> {
  const fields = new Map<string, Field>();
  if (literal.type !== "ObjectExpression") return fields;
  for (const property of literal.properties) {
    if (property.type === "SpreadElement") {
      const spread = constantNamed(file, property.argument);
      if (spread === undefined) continue;
      for (const [name, field] of fieldsOf(spread.file, spread.value)) fields.set(name, field);
    } else if (property.key.type === "Identifier") {
      const comment = commentBefore(file, property.start);
      fields.set(property.key.name, { file, value: property.value, comment, home: literal });
    }
  }
  return fields;
}

/** The constant that an identifier names, here or where it is imported from. */
function constantNamed(file: SourceFile, expression: Expression): Omit<Field, "home"> | undefined {
  if (expression.type !== "Identifier") return undefined;
  const { name } = expression;
  const here = constant(file, name);
  // What is above a mere type says how its values are written, not what a key is for.
  if (here !== undefined)
    return file.path === TYPES ? { file, value: here.value, comment: undefined } : { file, ...here };
  const imported = file.imports.find(({ names, typeOnly }) => !typeOnly && names.includes(name));
  if (imported?.target === undefined) return undefined;
  return constantNamed(sourceAt(imported.target), expression);
}

const TYPES = "src/config/fields.ts";

const NONE: Shape = { fields: new Map(), variants: [], comment: undefined };

const OBJECTS: ReadonlySet<string> = new Set(["object", "strictObject", "looseObject"]);
