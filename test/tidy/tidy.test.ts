import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";

const folder = mkdtempSync(join(tmpdir(), "tidy-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const TIDY = join(import.meta.dirname, "../../scripts/tidy.ts");
const REQUIREMENTS =
  "| id | level | requirement |\n|---|---|---|\n| 7.2.3-4 | M | a |\n| A.1-9 | M | b |\n| 7.x-1 | C | c |\n";
const HEADER = "/** What it is. */\n";

let trees = 0;

/** What tidy prints about a tree of these files, without the closing count; src files get a header. */
function tidy(files: Record<string, string>): string[] {
  trees += 1;
  const root = join(folder, String(trees));
  const all = { "docs/requirements.md": REQUIREMENTS, ...files };
  for (const [path, text] of Object.entries(all)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), path.startsWith("src/") && !text.startsWith("/") ? HEADER + text : text);
  }
  const { status, stdout, stderr } = spawnSync(process.execPath, [TIDY, root], { encoding: "utf8", cwd: root });
  assert.equal(stderr, "");
  const lines = stdout.split("\n").filter((line) => line !== "" && !line.startsWith("tidy:"));
  assert.equal(status, lines.length === 0 ? 0 : 1, stdout);
  return lines;
}

/** A tree whose main file imports all of these modules for their side effects. */
function using(files: Record<string, string>): Record<string, string> {
  const sources = Object.keys(files).filter((path) => path.startsWith("src/") && path !== "src/cli/main.ts");
  const imports = sources.map((path) => `import "../${path.slice("src/".length)}";\n`).join("");
  return { "src/cli/main.ts": imports, ...files };
}

function assertRefused(files: Record<string, string>, ...expected: RegExp[]): void {
  const printed = tidy(using(files));
  assert.equal(printed.length, expected.length, `printed:\n${printed.join("\n")}`);
  for (const [index, pattern] of expected.entries()) assert.match(printed[index]!, pattern);
}

test("a tree that keeps the rules passes silently", () => {
  assert.deepEqual(
    tidy({
      "src/cli/main.ts": `import { attach } from "../ike/sa/attach.ts";\nattach();\n`,
      "src/ike/sa/attach.ts": `import { octets } from "../../bytes/octets.ts";\n/** TS 33.320 7.2.3-4. */\nexport const attach = () => octets;\n`,
      "src/bytes/octets.ts": "export const octets = 8;\n",
      "test/ike/attach.test.ts": `import { test } from "node:test";\ntest("it attaches (A.1-9)", () => {});\n`,
    }),
    [],
  );
});

test("an import that points up or sideways is refused, of a type too", () => {
  assertRefused(
    {
      "src/esp/transform.ts": `import "../ike/sa.ts";\n`,
      "src/ike/sa.ts": `import type { A } from "../esp/below.ts";\nexport const a: A = 1;\n`,
      "src/esp/below.ts": "export type A = 1;\n",
      "src/segw/shell.ts": `import "../henb/shell.ts";\nimport type { A } from "../lab/a.ts";\nexport type B = A;\n`,
      "src/henb/shell.ts": "",
      "src/lab/a.ts": "export type A = 1;\n",
      "test/a.test.ts": `import { a } from "../src/ike/sa.ts";\nimport type { B } from "../src/segw/shell.ts";\n`,
    },
    /^src\/esp\/transform\.ts:2: esp is not above ike: .* \(imports src\/ike\/sa\.ts\) \[layers\]$/,
    /^src\/segw\/shell\.ts:2: segw is not above henb: .*\[layers\]$/,
    /^src\/segw\/shell\.ts:3: segw is not above lab: .*\[layers\]$/,
  );
});

test("a re-export and an import() count as imports", () => {
  assertRefused(
    {
      "src/der/reader.ts": `export * from "../x509/name.ts";\nexport const load = () => import("../trust/path.ts");\n`,
      "src/x509/name.ts": "",
      "src/trust/path.ts": "",
      "test/der.test.ts": `import { load } from "../src/der/reader.ts";\nload();\n`,
    },
    /^src\/der\/reader\.ts:2: der is not above x509/,
    /^src\/der\/reader\.ts:3: der is not above trust/,
  );
});

test("src takes nothing from test, and each of its folders has a floor", () => {
  assertRefused(
    {
      "src/x509/made.ts": `import "../../test/x509/keys.ts";\n`,
      "test/x509/keys.ts": "",
      "src/novel/a.ts": "",
      "src/novel/b.ts": "",
    },
    /^src\/novel\/a\.ts:1: src\/novel is on no floor/,
    /^src\/x509\/made\.ts:2: src does not import test\/x509\/keys\.ts/,
  );
});

test("a core with a clock, randomness, a timer, a socket, a file or a process is refused", () => {
  const calls = [
    `import { readFileSync } from "node:fs";`,
    `import { createSocket } from "dgram";`,
    `import { createHash, randomBytes as draw } from "node:crypto";`,
    "const at = Date.now();",
    "const day = new Date();",
    "const chance = Math.random();",
    "setTimeout(() => {}, 1);",
    "const later = setInterval(() => {}, 1);",
    "const clock = Date.now;",
    "const wait = promisify(setTimeout);",
    "const name = process.env.NAME;",
    "const answer = fetch(url);",
    `const http = await import("node:http");`,
    "const time = Date();",
  ];
  const found = calls.map(
    (_, index) => new RegExp(`^src/trust/path\\.ts:${index + 2}: .* in a core: .*\\[banned-calls\\]$`),
  );
  assertRefused({ "src/trust/path.ts": `${calls.join("\n")}\n` }, ...found);
});

test("a core may have what looks like it, in a comment, a string, a property or a type", () => {
  assertRefused({
    "src/trust/path.ts": [
      `import type { Socket } from "node:dgram";`,
      `import { createHash } from "node:crypto";`,
      "// Date.now() would be wrong here.",
      `const message = "no Math.random()";`,
      "const day = new Date(0);",
      "host.setTimeout(1);",
      "class Shell { fetch() {} process = 1; }",
      "const text = shell.process.env;",
    ].join("\n"),
  });
});

test("a shell may have a clock and a socket, and so may a data plane", () => {
  assertRefused({
    "src/segw/shell.ts": `import "node:dgram";\nconst now = Date.now();\n`,
    "src/esp/planes/tun.ts": `import "node:fs";\nprocess.once("exit", () => {});\n`,
  });
});

test("an exception that nothing needs any more is refused", () => {
  assertRefused(
    { "src/esp/planes/tun.ts": "", "src/ike/endpoint.ts": "" },
    /^src\/esp\/planes\/tun\.ts:1: needs no exception in scripts\/tidy\/bannedCalls\.ts/,
    /^src\/ike\/endpoint\.ts:1: needs no exception in scripts\/tidy\/conventions\.ts/,
  );
});

test("an export that no other file imports is refused, at its line", () => {
  assertRefused(
    {
      "src/x509/name.ts":
        "export const used = 1;\n\nexport function unused() {\n  return used;\n}\nexport type Lone = 1;\n",
      "test/name.test.ts": `import { used } from "../src/x509/name.ts";\n`,
      "test/made.ts": "export const made = 1;\n",
      "test/other.test.ts": `import "./made.ts";\n`,
    },
    /^src\/x509\/name\.ts:4: no other file imports unused: make it private or delete it \[dead-export\]$/,
    /^src\/x509\/name\.ts:7: no other file imports Lone/,
    /^test\/made\.ts:1: no other file imports made/,
  );
});

test("a type in the signature of a used export is used; one that only a body or a dead export names is not", () => {
  assertRefused(
    {
      "src/x509/name.ts": [
        "export interface Given extends Base { part: Part }",
        "export type Part = 1;",
        "export interface Base { a: 1 }",
        "export interface Made { a: 1 }",
        "export type Inner = 1;",
        "export function make(given: Given): Made { const a: Inner = 1; return { a }; }",
        "export type OfDead = 1;",
        "export const dead = (of: OfDead) => of;",
      ].join("\n"),
      "test/name.test.ts": `import { make } from "../src/x509/name.ts";\n`,
    },
    /name\.ts:6: no other file imports Inner/,
    /name\.ts:8: no other file imports OfDead/,
    /name\.ts:9: no other file imports dead/,
  );
});

test("what is taken through a namespace, a re-export or an import() is used, and nothing beside it", () => {
  assertRefused(
    {
      "src/der/writer.ts": "export const integer = 1;\nexport const octets = 2;\n",
      "src/der/reader.ts": "export const walk = 1;\nexport const lost = 2;\n",
      "src/der/all.ts": `export { sequence } from "./sequence.ts";\n`,
      "src/der/sequence.ts": "export const sequence = 1;\n",
      "test/der.test.ts": [
        `import * as write from "../src/der/writer.ts";`,
        `import { sequence } from "../src/der/all.ts";`,
        "write.integer;",
        `const { walk } = await import("../src/der/reader.ts");`,
      ].join("\n"),
    },
    /^src\/der\/reader\.ts:3: no other file imports lost/,
    /^src\/der\/writer\.ts:3: no other file imports octets/,
  );
});

test("a file that nothing reaches is refused once, however much it exports", () => {
  assert.deepEqual(
    tidy({
      "src/cli/main.ts": "",
      "src/x509/name.ts": `import "./oids.ts";\nexport const a = 1;\n`,
      "src/x509/oids.ts": "export const b = 1;\n",
    }),
    ["src/x509/name.ts", "src/x509/oids.ts"].map(
      (path) => `${path}:1: nothing reaches this file: use it or delete it [dead-file]`,
    ),
  );
});

test("a worker or script that a string names is reached, and so is what Node loads", () => {
  assertRefused({
    "src/esp/reader.ts": "new URL(`./worker$".concat("{extname(import.meta.url)}`, import.meta.url);\n"),
    "test/peer.ts": "",
    "test/peer.test.ts": `start("./peer.ts");\n`,
    "src/cli/main.ts": `import "../esp/reader.ts";\n`,
    "scripts/reporter.ts": "export default 1;\n",
    "src/esp/worker.ts": "",
  });
});

test("an id that is no requirement is refused in a comment and in a test's name", () => {
  assertRefused(
    {
      "src/trust/path.ts": "/**\n * What it is.\n * As 7.2.3-5 wants; 7.2.3-4 is there, and so is 7.x-1.\n */\n",
      "test/path.test.ts": `test("an older SA is deleted (A.1-90)", () => {});\ntest("(A.1-9)", () => {});\n`,
    },
    /^src\/trust\/path\.ts:3: there is no requirement 7\.2\.3-5 in docs\/requirements\.md.*\[requirement-ids\]$/,
    /^test\/path\.test\.ts:1: there is no requirement A\.1-90/,
  );
});

test("ranges of clauses, versions and addresses are not taken for requirements", () => {
  assertRefused({ "src/ike/sa.ts": "/** RFC 7296 2.1-2.3, 5.9.8-5+deb12u6, 10.0.0.1-10.0.0.9, 2026.11.24-1. */\n" });
});

test("a mark left for later and a switched-off check are refused", () => {
  const marks = ["TODO", "FIXME", "XXX"];
  assertRefused(
    {
      "src/der/a.ts": `${marks.map((mark) => `// ${mark}: later`).join("\n")}\nconst mark = "TODO";\n// @ts-ignore\n`,
      "test/a.test.ts": "const a = b as unknown as string;\n",
    },
    /^src\/der\/a\.ts:1: begins without a \/\*\* comment \*\/.*\[header\]$/,
    ...marks.map((mark, index) => new RegExp(`^src/der/a\\.ts:${index + 1}: ${mark}: .*\\[mark\\]$`)),
    /^src\/der\/a\.ts:5: @ts-ignore/,
    /^test\/a\.test\.ts:1: as unknown as: .*\[cast\]$/,
  );
});

test("a file of more than 500 lines, or 700 of tests, and one with an empty name are refused", () => {
  assertRefused(
    {
      "src/der/long.ts": `${HEADER}${"// a\n".repeat(500)}`,
      "src/der/whole.ts": `${HEADER}${"// a\n".repeat(499)}`,
      "test/long.test.ts": "// a\n".repeat(701),
      "test/whole.test.ts": "// a\n".repeat(700),
      "src/der/crlHelper.ts": "",
      "src/esp/dataPlane.ts": "",
    },
    /^src\/der\/crlHelper\.ts:1: "crlHelper" says "helper".*\[name\]$/,
    /^src\/der\/long\.ts:501: 501 lines, more than 500.*\[size\]$/,
    /^test\/long\.test\.ts:701: 701 lines, more than 700/,
  );
});

test("a test that runs alone, not at all, or some day is refused", () => {
  assertRefused(
    {
      "test/a.test.ts": [
        `test.only("a", () => {});`,
        `describe.skip("b", () => {});`,
        `test("c", { skip: true }, () => {});`,
        `test("d", { todo: "soon" }, () => {});`,
        `test("e", (t) => { t.skip(); });`,
        `test("f", { skip: "needs root" }, () => {});`,
        `test("g", { skip: reason ?? false }, (t) => { t.skip("why"); });`,
        `test("h", async (t) => { await t.test("i", { only: true }, () => {}); });`,
      ].join("\n"),
    },
    /^test\/a\.test\.ts:1: test\.only: .*\[test-calls\]$/,
    /:2: describe\.skip/,
    /:3: \{ skip \}/,
    /:4: \{ todo \}/,
    /:5: t\.skip\(\) without a reason/,
    /:8: \{ only \}/,
  );
});

test("a file that does not parse is named with its line", () => {
  const root = join(folder, "broken");
  mkdirSync(join(root, "src/der"), { recursive: true });
  writeFileSync(join(root, "src/der/a.ts"), "const a = 1;\nconst = 2;\n");
  const { status, stderr } = spawnSync(process.execPath, [TIDY, root], { encoding: "utf8" });
  assert.equal(status, 1);
  assert.match(stderr, /src\/der\/a\.ts:2: /);
});
