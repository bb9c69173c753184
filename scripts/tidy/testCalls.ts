/**
 * Every test runs: none alone (`only`), none left out without a reason that the runner prints (`{ skip: "why" }`),
 * none promised (`todo`).
 */
import { type CallExpression, type ObjectExpression, Visitor } from "oxc-parser";
import type { Rule, SourceFile, Violation } from "./tree.ts";

export const testCalls: Rule = function* (tree) {
  for (const file of tree.files.values()) if (file.area === "test") yield* inFile(file);
};

/** The names of the file's tests, with their offset in its text. */
export function testNames(file: SourceFile): { text: string; offset: number }[] {
  const names: { text: string; offset: number }[] = [];
  new Visitor({
    CallExpression(call) {
      const [name] = call.arguments;
      if (name === undefined || !definesTest(call)) return;
      const quoted = name.type === "TemplateLiteral" || (name.type === "Literal" && typeof name.value === "string");
      if (quoted) names.push({ text: file.text.slice(name.start, name.end), offset: name.start });
    },
  }).visit(file.program);
  return names;
}

function inFile(file: SourceFile): Violation[] {
  const found: Violation[] = [];
  const report = (offset: number, message: string) =>
    found.push({ path: file.path, line: file.line(offset), rule: "test-calls", message });
  new Visitor({
    CallExpression(call) {
      const { callee, arguments: given } = call;
      if (callee.type === "MemberExpression" && callee.object.type === "Identifier") {
        const marker = callee.property.type === "Identifier" ? callee.property.name : "";
        const remedy = REMEDIES[marker];
        if (remedy !== undefined && DEFINERS.has(callee.object.name)) {
          report(call.start, `${callee.object.name}.${marker}: ${remedy}`);
        } else if (remedy !== undefined && CONTEXTS.has(callee.object.name) && given.length === 0) {
          report(call.start, `${callee.object.name}.${marker}() without a reason: ${remedy}`);
        }
      }
      if (!definesTest(call)) return;
      for (const options of given.filter((argument) => argument.type === "ObjectExpression"))
        inOptions(options, report);
    },
  }).visit(file.program);
  return found;
}

function inOptions(options: ObjectExpression, report: (offset: number, message: string) => void): void {
  for (const property of options.properties) {
    if (property.type !== "Property" || property.key.type !== "Identifier") continue;
    const remedy = REMEDIES[property.key.name];
    if (remedy === undefined) continue;
    const { value } = property;
    const literal = value.type === "Literal" ? value.value : undefined;
    // A reason, or something computed that can be one.
    if (property.key.name === "skip" && (literal === false || literal === undefined || isReason(literal))) continue;
    report(property.start, `{ ${property.key.name} }: ${remedy}`);
  }
}

function isReason(literal: unknown): boolean {
  return typeof literal === "string" && literal.trim() !== "";
}

function definesTest({ callee }: CallExpression): boolean {
  if (callee.type === "Identifier") return DEFINERS.has(callee.name);
  if (callee.type !== "MemberExpression" || callee.property.type !== "Identifier") return false;
  if (callee.object.type !== "Identifier") return false;
  return DEFINERS.has(callee.object.name) || (CONTEXTS.has(callee.object.name) && DEFINERS.has(callee.property.name));
}

const DEFINERS: ReadonlySet<string> = new Set(["test", "it", "describe", "suite"]);

/** What test functions call their first parameter. */
const CONTEXTS: ReadonlySet<string> = new Set(["t", "context"]);

const REMEDIES: Readonly<Record<string, string | undefined>> = {
  only: "the others would not run; delete it",
  skip: 'say why as { skip: "reason" }, or delete the test',
  todo: "write the test, or an issue",
};
