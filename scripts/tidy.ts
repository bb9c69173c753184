/**
 * The project's own rules, run by `make check`: what neither the compiler nor the linter knows.
 *
 *   node scripts/tidy.ts [FOLDER]
 *
 * Prints one line for each violation, `file:line: what is wrong and what to do [rule]`, and exits with 1 if there are
 * any. Each rule is a file in tidy/, with what it allows as data. Source is read by a real parser (oxc): rules about
 * comments, strings and exports would be guesses over text, and TypeScript 7 has no stable programming interface yet.
 */
import { relative, resolve } from "node:path";
import { bannedCalls } from "./tidy/bannedCalls.ts";
import { conventions } from "./tidy/conventions.ts";
import { layers } from "./tidy/layers.ts";
import { requirementIds } from "./tidy/requirementIds.ts";
import { testCalls } from "./tidy/testCalls.ts";
import { type Rule, readTree, type Violation } from "./tidy/tree.ts";
import { unusedCode } from "./tidy/unusedCode.ts";

const RULES: readonly Rule[] = [layers, bannedCalls, unusedCode, requirementIds, conventions, testCalls];

const root = resolve(process.argv[2] ?? `${import.meta.dirname}/..`);
const tree = readTree(root);
const violations = RULES.flatMap((rule) => [...rule(tree)]).sort(byPlace);
for (const { path, line, rule, message } of violations) {
  console.log(`${relative(process.cwd(), resolve(root, path))}:${line}: ${message} [${rule}]`);
}
if (violations.length > 0) {
  console.log(`tidy: ${violations.length} ${violations.length === 1 ? "violation" : "violations"}`);
  process.exitCode = 1;
}

function byPlace(a: Violation, b: Violation): number {
  return a.path < b.path ? -1 : a.path > b.path ? 1 : a.line - b.line;
}
