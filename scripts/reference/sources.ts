/** Source files of the project, parsed for what the reference takes from them: comments, string literals, declarations. */
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Expression, type Node, Visitor } from "oxc-parser";
import { SourceFile } from "../tidy/tree.ts";

export const ROOT = resolve(import.meta.dirname, "../..");

/** A source file by its path from the root, parsed once. */
export function sourceAt(path: string): SourceFile {
  let file = PARSED.get(path);
  if (file === undefined) {
    file = new SourceFile(path, readFileSync(join(ROOT, path), "utf8"));
    PARSED.set(path, file);
  }
  return file;
}

/** The source files of a folder, or the one that is named, in order of path. */
export function sourcesAt(path: string): SourceFile[] {
  if (path.endsWith(".ts")) return [sourceAt(path)];
  return readdirSync(join(ROOT, path), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .sort()
    .map((name) => sourceAt(`${path}/${name}`));
}

/** Text of the doc comment that ends right before an offset; undefined if there is none. */
export function commentBefore(file: SourceFile, offset: number): string | undefined {
  const comment = file.comments.findLast(({ end }) => end <= offset);
  if (comment?.value.startsWith("*") !== true) return undefined;
  if (!/^\s*(?:export )?$/.test(file.text.slice(comment.end, offset))) return undefined;
  const lines = comment.value.slice(1).split("\n");
  return lines
    .map((line) => line.replace(/^\s*\*? ?/, "").trim())
    .join(" ")
    .trim();
}

/** The initial value of a top-level constant, with the comment above it. */
export function constant(
  file: SourceFile,
  name: string,
): { value: Expression; comment: string | undefined } | undefined {
  for (const statement of file.program.body) {
    const declared = statement.type === "ExportNamedDeclaration" ? statement.declaration : statement;
    if (declared?.type !== "VariableDeclaration") continue;
    for (const { id, init } of declared.declarations) {
      if (id.type !== "Identifier" || id.name !== name || init === null) continue;
      return { value: init, comment: commentBefore(file, statement.start) };
    }
  }
  return undefined;
}

/** Members of a type that is a union of string literals, such as `type CloseCause = "shutdown" | ...`. */
export function unionMembers(file: SourceFile, name: string): string[] {
  const members: string[] = [];
  new Visitor({
    TSTypeAliasDeclaration({ id, typeAnnotation }) {
      if (id.name !== name || typeAnnotation.type !== "TSUnionType") return;
      for (const type of typeAnnotation.types)
        if (type.type === "TSLiteralType" && type.literal.type === "Literal") members.push(String(type.literal.value));
    },
  }).visit(file.program);
  if (members.length === 0) throw new Error(`${file.path} has no type ${name} that is a union of strings`);
  return members;
}

/** A string literal or template, with an ellipsis for each part that only running code knows; undefined for all else. */
export function textOf(node: Node | null | undefined): string | undefined {
  if (node?.type === "Literal") return typeof node.value === "string" ? node.value : undefined;
  if (node?.type === "TemplateLiteral") {
    const text = node.quasis.map(({ value }) => value.cooked ?? value.raw).join("…");
    return text.replace(/…(?: ?…)+/g, "…");
  }
  if (node?.type === "ConditionalExpression") return textOf(node.consequent) ?? textOf(node.alternate);
  return undefined;
}

/** The texts that an expression may come to. */
export function textsOf(node: Node | null | undefined): string[] {
  if (node?.type === "ConditionalExpression") return [...textsOf(node.consequent), ...textsOf(node.alternate)];
  const text = textOf(node);
  return text === undefined ? [] : [text];
}

/** Values of an object literal's plain properties by name. */
export function propertiesOf(node: Node | null | undefined): Map<string, Expression> {
  const values = new Map<string, Expression>();
  if (node?.type !== "ObjectExpression") return values;
  for (const property of node.properties)
    if (property.type === "Property" && property.key.type === "Identifier" && !property.computed)
      values.set(property.key.name, property.value);
  return values;
}

const PARSED = new Map<string, SourceFile>();
