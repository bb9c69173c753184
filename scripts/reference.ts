/**
 * Writes docs/reference from the code: configuration keys, commands, refusal reasons, log events, proposal keywords.
 *
 *   node scripts/reference.ts        (make reference)
 *
 * Nothing in that folder is written by hand; test/docs/reference.test.ts fails while it is not what the code says.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { z } from "zod";
import { aaaConfig } from "../src/aaa/config.ts";
import { policyFile } from "../src/cli/check/rolePolicy.ts";
import type { Command } from "../src/cli/command.ts";
import { hemsConfig } from "../src/hems/config.ts";
import { deviceConfig } from "../src/henb/config.ts";
import { loadConfig } from "../src/henb/loadConfig.ts";
import { gatewayConfig } from "../src/segw/config.ts";
import { type ConfigKey, configKeys } from "./reference/configuration.ts";
import { logEvents } from "./reference/logEvents.ts";
import { block, code, table } from "./reference/markdown.ts";
import { proposalKeywords } from "./reference/proposals.ts";
import { refusals, type Side } from "./reference/refusals.ts";
import { ROOT, sourceAt, unionMembers } from "./reference/sources.ts";

/** Where the reference lies. */
export const FOLDER = join(ROOT, "docs/reference");

/** A role that is started with a configuration file. */
export interface ConfiguredRole {
  /** Its command. */
  name: string;
  schema: z.ZodType;
  keys: readonly ConfigKey[];
}

export const CONFIGURED_ROLES: readonly ConfiguredRole[] = [
  role("segw", gatewayConfig, "src/segw/config.ts", "gatewayConfig"),
  role("henb", deviceConfig, "src/henb/config.ts", "deviceConfig"),
  role("hems", hemsConfig, "src/hems/config.ts", "hemsConfig"),
  role("aaa", aaaConfig, "src/aaa/config.ts", "aaaConfig"),
  role("check", policyFile, "src/cli/check/rolePolicy.ts", "policyFile"),
  role("load", loadConfig, "src/henb/loadConfig.ts", "loadConfig"),
];

/** All commands, by name. */
export async function commands(): Promise<Command[]> {
  const folder = join(ROOT, "src/cli/commands");
  const files = readdirSync(folder)
    .filter((name) => name.endsWith(".ts"))
    .sort();
  const loaded = await Promise.all(files.map((name) => import(join(folder, name)) as Promise<{ command: Command }>));
  return loaded.map(({ command }) => command);
}

/** Text of each file of the reference by its name. */
export async function referenceFiles(): Promise<Map<string, string>> {
  const pages = new Map<string, Page>();
  for (const command of await commands()) {
    const configured = CONFIGURED_ROLES.find(({ name }) => name === command.name);
    if (configured === undefined) pages.set(`${command.name}-cli.md`, commandPage(command));
    else pages.set(`${command.name}.md`, rolePage(command, configured.keys));
  }
  pages.set("refusals.md", refusalsPage());
  pages.set("log.md", logPage());
  pages.set("proposals.md", proposalsPage());
  const index: Page = {
    title: "Reference",
    text: [...pages].map(([file, { title }]) => `- [${title}](${file})`).join("\n"),
  };
  return new Map(
    [["README.md", index] as const, ...pages].map(([file, page]) => [
      file,
      `# ${page.title}\n\n${NOTE}\n\n${page.text}\n`,
    ]),
  );
}

interface Page {
  title: string;
  text: string;
}

function commandPage({ name, usage }: Command): Page {
  return { title: `\`femtogate ${name}\``, text: block(usage) };
}

function rolePage({ name, usage }: Command, keys: readonly ConfigKey[]): Page {
  const settings = keys.filter(({ section }) => !section);
  const sections = keys.filter(({ section }) => section);
  const rows = settings.map(({ path, type, preset, required, comment }) => [
    code(path),
    type,
    preset ?? (required ? "**required**" : "-"),
    comment,
  ]);
  return {
    title: `\`femtogate ${name}\` and its configuration`,
    text: `${block(usage)}

## Sections

${table(["section", "what it is about"], sections.map(sectionRow))}

## Keys

${NOTATION}

${table(["key", "type", "default", "what it says"], rows)}`,
  };
}

function sectionRow({ path, comment, keysOf }: ConfigKey): string[] {
  return [code(path), keysOf === undefined ? comment : `${comment} Takes the keys of ${code(keysOf)}.`];
}

function refusalsPage(): Page {
  const rows = refusals().map(({ reason, sides, messages, notifies, sources }) => [
    code(reason),
    [...sides].map((side) => SIDE_NAMES[side]).join(", "),
    [...messages].join("<br>") || "says what was found",
    [...notifies].map(code).join(", "),
    [...sources].map((path) => `[${path}](../../${path})`).join("<br>"),
  ]);
  return {
    title: "Refusal reasons",
    text: `What stands as \`reason\` in the log when an IKE SA or a session with the H(e)MS is refused or fails. The peer hears no
reason: of an IKE SA the notify that is named here, else AUTHENTICATION_FAILED where it can be told at all; of a TLS connection
its end. What to do about each is in the guides: [gateway](../guides/segw.md#when-a-device-is-refused),
[device](../guides/henb.md#when-it-does-not-attach), [H(e)MS](../guides/hems.md#when-a-device-is-refused), [device towards its
H(e)MS](../guides/hems.md#when-a-device-gets-no-session).

${table(["reason", "in the log of", "message", "notify", "where"], rows)}`,
  };
}

function logPage(): Page {
  const rows = logEvents().map(({ event, level, text, members }) => [
    code(event),
    level,
    text ?? "",
    members.map(code).join(", "),
  ]);
  const effects = sourceAt("src/ike/sa/effects.ts");
  const list = (name: string) => unionMembers(effects, name).map(code).join(", ");
  return {
    title: "Log events",
    text: `One JSON object a line (\`log.format: json\`) on standard output. In every line stand \`level\`, \`role\`, \`at\` (milliseconds
since 1970), \`text\` (for people) and \`event\`, beside what the table lists.

${table(["event", "level", "text", "further members"], rows)}

\`cause\` of \`closed\` is one of ${list("CloseCause")}.

\`reason\` of \`dropped\` is one of ${list("DropReason")}; \`reason\` of \`failed\` is one of the
[refusal reasons](refusals.md).`,
  };
}

function proposalsPage(): Page {
  const rows = proposalKeywords().map(({ keyword, kind, transform, weak }) => [
    code(keyword),
    kind,
    code(transform),
    weak ? "only with `allowWeakAlgorithms`" : "",
  ]);
  return {
    title: "Keywords of IKE and ESP proposals",
    text: `As strongSwan writes them: keywords joined by hyphens, several of a kind in order of preference
(\`aes128gcm16-aes256gcm16-prfsha256-x25519-ecp256\`). A proposal names AES-GCM or AES-CBC, not both: write two.

${table(["keyword", "chooses", "transform", ""], rows)}`,
  };
}

function role(name: string, schema: z.ZodType, file: string, constantName: string): ConfiguredRole {
  return { name, schema, keys: configKeys(schema, file, constantName) };
}

const NOTE = "<!-- made from the code by `make reference`: do not edit by hand -->";

const NOTATION = `A duration is written as \`500ms\`, \`30s\`, \`5m\`, \`4h\` or \`2d\`; 0 switches off where that makes sense. Files and folders are
looked for from the folder of the configuration file. A key that is not listed is refused, with the line and what may
have been meant.`;

const SIDE_NAMES: Readonly<Record<Side, string>> = {
  segw: "SeGW",
  henb: "H(e)NB",
  hems: "H(e)MS",
  management: "H(e)NB towards its H(e)MS",
};

if (import.meta.main) {
  const files = await referenceFiles();
  mkdirSync(FOLDER, { recursive: true });
  for (const name of readdirSync(FOLDER)) if (!files.has(name)) rmSync(join(FOLDER, name));
  for (const [name, text] of files) writeFileSync(join(FOLDER, name), text);
}
