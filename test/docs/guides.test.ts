/** What the guides show is what the program takes: configurations, commands, refusal reasons, links. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import test from "node:test";
import { parse, stringify } from "yaml";
import { refusals, type Side } from "../../scripts/reference/refusals.ts";
import { ROOT, sourceAt } from "../../scripts/reference/sources.ts";
import { CONFIGURED_ROLES, commands } from "../../scripts/reference.ts";
import type { Command } from "../../src/cli/command.ts";
import { duration } from "../../src/config/fields.ts";
import { loadConfig } from "../../src/config/load.ts";
import { anchors, codeBlocks, links, markdownFiles, readMarkdown, shellCommands, tableWords } from "./markdown.ts";

const GUIDES = markdownFiles().filter((path) => path.startsWith("docs/guides/"));

/** "# segw.yaml" begins a whole file, "# in segw.yaml" a part to be merged into the guides' whole one. */
const YAML_NAME = /^# (in )?(\w+)\.yaml\b/;

for (const guide of GUIDES) {
  test(`every configuration in ${guide} is one that its role takes`, () => {
    for (const { language, text } of codeBlocks(readMarkdown(guide))) {
      if (language !== "yaml") continue;
      const [, part, name] = YAML_NAME.exec(text) ?? [];
      const role = CONFIGURED_ROLES.find((configured) => configured.name === name);
      assert.ok(role !== undefined, `a configuration begins with "# ROLE.yaml" or "# in ROLE.yaml", not:\n${text}`);
      const whole = part === undefined ? text : stringify(merged(parse(wholeFile(role.name)), parse(text)));
      assert.doesNotThrow(() => loadConfig(role.schema, whole, `${role.name}.yaml in ${guide}`));
    }
  });
}

test("the defaults that the reference names are those of a configuration that leaves the key out", () => {
  for (const { name, schema, keys } of CONFIGURED_ROLES) {
    const text = wholeFile(name);
    const given = parse(text);
    const loaded = loadConfig(schema, text, name);
    for (const { path, type, preset } of keys) {
      if (preset === undefined || path.includes("[]") || valueAt(given, path) !== undefined) continue;
      const value = valueAt(loaded, path);
      // A section that may be left out whole has no defaults in a configuration without it.
      if (value === undefined) continue;
      const words = [...preset.matchAll(/`([^`]*)`/g)].map(([, word]) => word!);
      if (Array.isArray(value)) assert.deepEqual(value, words[0] === "[]" ? [] : words, `${name}: ${path}`);
      else if (type === "duration") assert.equal(value, duration.parse(words[0]), `${name}: ${path}`);
      else assert.equal(String(value), words[0], `${name}: ${path}`);
    }
  }
});

test("every femtogate command line in the documentation has options that its usage names", async () => {
  const known = await commands();
  for (const file of markdownFiles()) {
    if (file.startsWith("docs/reference/")) continue;
    for (const line of shellCommands(readMarkdown(file))) {
      for (const [, args] of line.matchAll(COMMAND_LINE)) {
        const problem = problemOf(args!.trim(), known);
        assert.equal(problem, undefined, `${file}: "femtogate ${args}": ${problem}`);
      }
    }
  }
});

for (const [side, guide, heading] of [
  ["segw", "docs/guides/segw.md", "When a device is refused"],
  ["henb", "docs/guides/henb.md", "When it does not attach"],
  ["hems", "docs/guides/hems.md", "When a device is refused"],
  ["management", "docs/guides/hems.md", "When a device gets no session"],
] as const satisfies readonly [Side, string, string][]) {
  test(`${guide} says of each refusal reason of ${side} what to do`, () => {
    const told = tableWords(readMarkdown(guide), heading).sort();
    const reasons = refusals()
      .filter(({ sides }) => sides.has(side))
      .map(({ reason }) => reason);
    assert.deepEqual(told, reasons.sort());
  });
}

test("strongSwan's settings in the guides are those that its interoperability tests run with", () => {
  const tested = sourceAt("test/interop/strongswan/attachment.ts").text;
  for (const guide of GUIDES) {
    for (const { language, text } of codeBlocks(readMarkdown(guide))) {
      if (language !== "swanctl") continue;
      for (const [, name] of text.matchAll(/^ *(\w+) (?:=|\{)/gm))
        assert.match(tested, new RegExp(`\\b${name}:`), `${guide}: ${name}`);
    }
  }
});

test("every relative link leads to a file, and every anchor to a heading", () => {
  const broken: string[] = [];
  for (const file of markdownFiles()) {
    for (const link of links(readMarkdown(file))) {
      if (/^[a-z]+:/.test(link)) continue;
      const [path, anchor] = link.split("#");
      const target = path === "" ? file : join(dirname(file), path!);
      if (!existsSync(join(ROOT, target))) broken.push(`${file}: ${link} leads nowhere`);
      else if (anchor !== undefined && target.endsWith(".md") && !anchors(readMarkdown(target)).includes(anchor))
        broken.push(`${file}: ${link} names no heading of ${target}`);
    }
  }
  assert.deepEqual(broken, []);
});

/** At the beginning of a command or behind what starts it elsewhere, such as `ip netns exec segw femtogate ...`. */
const COMMAND_LINE = /(?:^ *|[(|;&] *|netns exec \w+ |-- )(?:\S*bin\/)?femtogate ([^|;>&]+)/g;

/** The whole configuration of a role that a guide shows. */
function wholeFile(role: string): string {
  const blocks = GUIDES.flatMap((guide) => codeBlocks(readMarkdown(guide)));
  const found = blocks.find(({ language, text }) => language === "yaml" && text.startsWith(`# ${role}.yaml`));
  assert.ok(found !== undefined, `no guide shows a whole ${role}.yaml`);
  return found.text;
}

/** `over` on `base`, section by section. */
function merged(base: unknown, over: unknown): unknown {
  if (!isSection(base) || !isSection(over)) return over;
  const keys = new Set([...Object.keys(base), ...Object.keys(over)]);
  return Object.fromEntries([...keys].map((key) => [key, key in over ? merged(base[key], over[key]) : base[key]]));
}

function valueAt(value: unknown, path: string): unknown {
  return path.split(".").reduce((at, key) => (isSection(at) ? at[key] : undefined), value);
}

function isSection(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Why a command line's arguments are none that the command's usage names; undefined if they are. */
function problemOf(args: string, known: readonly Command[]): string | undefined {
  const [name, ...words] = args.split(/\s+/);
  const command = known.find((candidate) => candidate.name === name);
  // `femtogate --help`, and `femtogate` as the name of a user before a path.
  if (command === undefined) return /^[a-z]+$/.test(name!) ? `no command "${name}"` : undefined;
  const entries = usageEntries(command).filter(({ verbs }) =>
    verbs.every((choices, at) => words[at] === undefined || choices.includes(words[at])),
  );
  if (entries.length === 0) return "its usage has no such form";
  const usage = entries.map(({ text }) => text).join("\n") + remarks(command);
  for (const [at, word] of words.entries()) {
    const option = /^(--[a-z-]+)/.exec(word)?.[1];
    if (option === undefined || option === "--help") continue;
    const says = new RegExp(`${option}(?![a-z-])(?: ([^\\s\\]]+))?`).exec(usage);
    if (says === null) return `its usage names no ${option}`;
    const choices = says[1]?.split("|") ?? [];
    const value = words[at + 1];
    if (choices.length > 1 && value !== undefined && /^[a-z][\w-]*$/.test(value) && !choices.includes(value))
      return `${option} takes ${choices.join(", ")}`;
  }
  return undefined;
}

/** The forms of a command that its usage lists, each with the words that it begins with: `device put`, `bind|unbind`. */
function usageEntries({ usage }: Command): { verbs: string[][]; text: string }[] {
  return [...usage.matchAll(ENTRY)].map(([text]) => {
    const words = text.trim().split(/\s+/).slice(2);
    const end = words.findIndex((word) => !/^[a-z|-]+$/.test(word) || word.startsWith("-"));
    const verbs = words.slice(0, end < 0 ? words.length : end).map((word) => word.split("|"));
    return { verbs, text };
  });
}

/** What a usage says besides. */
function remarks({ usage }: Command): string {
  return usage.replace(ENTRY, "");
}

/** A line of a usage with `femtogate` indented, and the lines that go on deeper. */
const ENTRY = /^ {2}femtogate .*(?:\n {3,}.*)*/gm;
