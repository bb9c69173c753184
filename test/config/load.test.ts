import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { z } from "zod";
import { duration } from "../../src/config/fields.ts";
import { ConfigError, loadConfig } from "../../src/config/load.ts";

const schema = z.strictObject({
  listen: z.strictObject({ address: z.string(), port: z.number().int().min(1).max(65535).default(500) }),
  lifetime: duration.optional(),
  pools: z.array(z.strictObject({ name: z.string(), block: z.string() })).default([]),
  profiles: z.record(z.string(), z.strictObject({ combined: z.boolean() })).optional(),
  peer: z.union([z.strictObject({ fqdn: z.string() }), z.strictObject({ address: z.string() })]).optional(),
  plane: z
    .discriminatedUnion("kind", [
      z.strictObject({ kind: z.literal("tun"), mtu: z.number() }),
      z.strictObject({ kind: z.literal("none") }),
    ])
    .optional(),
  suite: z.enum(["aes-gcm", "aes-cbc"]).optional(),
  logged: z.strictObject({ level: z.string() }).nullable().prefault({ level: "info" }),
  trimmed: z
    .strictObject({ width: z.number() })
    .transform(({ width }) => width)
    .optional(),
});

test("a file that fits gives its values, with the defaults filled in", () => {
  const text = `
# a comment
listen:
  address: 192.0.2.1
lifetime: 4h
pools:
  - name: a
    block: 10.0.0.0/8
peer: { address: 192.0.2.2 }
plane:
  kind: none
trimmed: { width: 5 }
`;
  assert.deepEqual(loadConfig(schema, text, "segw.yaml"), {
    listen: { address: "192.0.2.1", port: 500 },
    lifetime: 4 * 3600_000,
    pools: [{ name: "a", block: "10.0.0.0/8" }],
    peer: { address: "192.0.2.2" },
    plane: { kind: "none" },
    logged: { level: "info" },
    trimmed: 5,
  });
});

test("an empty file is an empty configuration", () => {
  const optional = z.strictObject({ a: z.number().default(3) });
  for (const text of ["", "# nothing\n", "---\n"]) assert.deepEqual(loadConfig(optional, text, "f"), { a: 3 });
  assert.deepEqual(problems(""), ['f:1:1: "listen" is missing: write a value (object)']);
});

test("anchors and aliases may be used, and a problem behind an alias is told where it stands", () => {
  const shared = "a: &block 10.0.0.0/8\nb: *block\n";
  const loose = z.strictObject({ a: z.string(), b: z.string() });
  assert.deepEqual(loadConfig(loose, shared, "f"), { a: "10.0.0.0/8", b: "10.0.0.0/8" });
  const text = "listen: &l { address: x, prot: 5 }\npools: []\nprofiles: { one: *l }\n";
  assert.deepEqual(
    problems(text),
    [
      'f:1:26: "listen.prot" is no known key; did you mean "port"?',
      'f:1:14: "profiles.one.address" is no known key; known here are combined',
      'f:1:26: "profiles.one.prot" is no known key; known here are combined',
      'f:3:18: "profiles.one.combined" is missing: write a value (boolean)',
    ].toSorted((a, b) => position(a) - position(b)),
  );
});

describe("an unknown key is refused with its line and column, and", () => {
  const listen = "listen: { address: x }\n";
  const cases: [text: string, problem: string][] = [
    [`${listen}lifetme: 4h\n`, 'f:2:1: "lifetme" is no known key; did you mean "lifetime"?'],
    [
      `${listen}xyzzy: 4h\n`,
      'f:2:1: "xyzzy" is no known key; known here are listen, lifetime, pools, profiles, peer, plane, suite, logged, trimmed',
    ],
    ["listen:\n  address: x\n  prot: 4500\n", 'f:3:3: "listen.prot" is no known key; did you mean "port"?'],
    [
      `${listen}pools:\n  - { name: a, block: b }\n  - name: c\n    block: d\n    blok: e\n`,
      'f:6:5: "pools.1.blok" is no known key; did you mean "block"?',
    ],
    [
      `${listen}profiles:\n  gold:\n    combined: true\n    Combine: true\n`,
      'f:5:5: "profiles.gold.Combine" is no known key; did you mean "combined"?',
    ],
    [`${listen}plane: { kind: tun, mtu: 1400, mut: 3 }\n`, 'f:2:32: "plane.mut" is no known key; did you mean "mtu"?'],
    [`${listen}logged: { level: a, leve: b }\n`, 'f:2:21: "logged.leve" is no known key; did you mean "level"?'],
    [`${listen}trimmed: { width: 1, widht: 1 }\n`, 'f:2:22: "trimmed.widht" is no known key; did you mean "width"?'],
    [`${listen}peer: { fqdn: a, fqd: b }\n`, 'f:2:18: "peer.fqd" is no known key; did you mean "fqdn"?'],
    [
      `${listen}__proto__: { polluted: 1 }\n`,
      'f:2:1: "__proto__" is no known key; known here are listen, lifetime, pools, profiles, peer, plane, suite, logged, trimmed',
    ],
    [
      `${listen}12: 3\n`,
      'f:2:1: "12" is no known key; known here are listen, lifetime, pools, profiles, peer, plane, suite, logged, trimmed',
    ],
  ];
  for (const [text, problem] of cases)
    test(`advised upon: ${problem}`, () => assert.deepEqual(problems(text), [problem]));

  test("where nothing is known, that is said", () => {
    assert.deepEqual(problemsOf(z.strictObject({ a: z.strictObject({}) }), "a: { b: 1 }"), [
      'f:1:6: "a.b" is no known key; no key is known here',
    ]);
  });
});

describe("a value that does not fit is told with", () => {
  const listen = "listen: { address: x }\n";
  const cases: [what: string, text: string, problem: string][] = [
    [
      "the place of the value",
      "listen: { address: x, port: 70000 }",
      'f:1:29: "listen.port": Too big: expected number to be <=65535',
    ],
    [
      "the place of an item",
      `${listen}pools:\n  - name: a\n    block: 3\n`,
      'f:4:12: "pools.0.block": Invalid input: expected string, received number',
    ],
    [
      "what is missing, at what it is missing from",
      "listen:\n  port: 5\n",
      'f:2:3: "listen.address" is missing: write a value (string)',
    ],
    [
      "a missing key that stands there without a value",
      "listen:\n",
      'f:1:8: "listen" has no value: write one (object)',
    ],
    [
      "what may stand there",
      `${listen}suite: des\n`,
      'f:2:8: "suite": Invalid option: expected one of "aes-gcm"|"aes-cbc"',
    ],
    [
      "which kinds there are",
      `${listen}plane: { kind: tap }\n`,
      "f:2:16: \"plane.kind\": Invalid discriminator value. Expected 'tun' | 'none'",
    ],
    [
      "how to write it",
      `${listen}lifetime: 4 hours\n`,
      'f:2:11: "lifetime": "4 hours" is no duration; write it as 500ms, 30s, 5m, 4h or 2d',
    ],
    [
      "how to write it, whatever its type",
      `${listen}lifetime: true\n`,
      'f:2:11: "lifetime": is no duration; write it as 500ms, 30s, 5m, 4h or 2d',
    ],
    [
      "the closest of what it could be",
      `${listen}peer: { address: 5 }\n`,
      'f:2:18: "peer.address": Invalid input: expected string, received number',
    ],
    ["nothing of what it could be, if it is of another type", `${listen}peer: 5\n`, 'f:2:7: "peer": Invalid input'],
    ["the file, if that is no map", "- a\n- b\n", "f:1:1: the file: Invalid input: expected object, received array"],
  ];
  for (const [what, text, problem] of cases) test(what, () => assert.deepEqual(problems(text), [problem]));
});

test("every problem is told at once, one a line, in the order of the file", () => {
  const text = "suite: des\nlisten:\n  port: 0\n  adress: x\nlifetime: soon\nverbose: true\n";
  const expected = [
    'f:1:8: "suite": Invalid option: expected one of "aes-gcm"|"aes-cbc"',
    'f:3:3: "listen.address" is missing: write a value (string)',
    'f:3:9: "listen.port": Too small: expected number to be >=1',
    'f:4:3: "listen.adress" is no known key; did you mean "address"?',
    'f:5:11: "lifetime": "soon" is no duration; write it as 500ms, 30s, 5m, 4h or 2d',
    'f:6:1: "verbose" is no known key; known here are listen, lifetime, pools, profiles, peer, plane, suite, logged, trimmed',
  ];
  assert.deepEqual(problems(text), expected);
  assert.throws(() => loadConfig(schema, text, "f"), { name: "ConfigError", message: expected.join("\n") });
});

describe("what is no YAML is told with its place:", () => {
  const cases: [text: string, problem: RegExp][] = [
    ["a: 1\na: 2\n", /^f:2:1: Map keys must be unique$/],
    ["a:\n\t- b\n", /^f:2:1: Tabs are not allowed as indentation$/],
    ["a: [1\n", /^f:2:1: Flow sequence in block collection must be/],
    ["a: b: c\n", /^f:1:4: Nested mappings are not allowed/],
    ["a: 1\n---\nb: 2\n", /^f:2:1: Source contains multiple documents/],
    ["a: 1\nb: !secret 3\n", /^f:2:4: Unresolved tag: !secret$/],
    ["a: 1\nb: *c\n", /^f:2:4: no anchor "&c" stands before this$/],
    ["a: *b\nb: &b 1\n", /^f:1:4: no anchor "&b" stands before this$/],
  ];
  for (const [text, problem] of cases) {
    test(JSON.stringify(text), () => {
      const [first] = problemsOf(z.looseObject({}), text);
      assert.match(first ?? "accepted", problem);
    });
  }

  test("aliases of aliases that would fill the memory", () => {
    const level = (n: number) =>
      `a${n}: &a${n} [${Array(9)
        .fill(n === 0 ? "x" : `*a${n - 1}`)
        .join(", ")}]\n`;
    const bomb = Array.from({ length: 9 }, (_, n) => level(n)).join("");
    assert.match(problemsOf(z.looseObject({}), bomb)[0] ?? "accepted", /^f:1:1: Excessive alias count/);
  });
});

test("whatever text a file holds, it is a configuration or a ConfigError with a place for each problem", () => {
  const pieces = fc.constantFrom(
    ..."listen: |address|port|pools:|plane:|kind: tun|peer:|lifetime:|- |  |\n|\n  |{|}|[|]|: |, |&a |*a|!x |'|\"|#|? |<<: |5|x|~".split(
      "|",
    ),
  );
  const text = fc.oneof(
    fc.array(pieces, { maxLength: 25, size: "max" }).map((parts) => parts.join("")),
    fc.string(),
  );
  fc.assert(
    fc.property(text, (content) => {
      try {
        loadConfig(schema, content, "f");
      } catch (error) {
        assert.ok(error instanceof ConfigError, String(error));
        assert.ok(error.problems.length > 0);
        for (const problem of error.problems) assert.match(problem, /^f:\d+:\d+: ./);
      }
    }),
    { numRuns: 2000 },
  );
});

function problems(text: string): readonly string[] {
  return problemsOf(schema, text);
}

function problemsOf(by: z.ZodType, text: string): readonly string[] {
  try {
    loadConfig(by, text, "f");
    return [];
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems;
  }
}

function position(problem: string): number {
  const [, line, column] = problem.split(":").map(Number);
  return line! * 1000 + column!;
}
