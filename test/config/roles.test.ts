/** The configuration files of the roles: every key is taken, every other one refused with where it stands and advice. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { isMap, isSeq, parseDocument } from "yaml";
import { z } from "zod";
import { ConfigError, loadConfig } from "../../src/config/load.ts";
import { hemsConfig } from "../../src/hems/config.ts";
import { deviceConfig } from "../../src/henb/config.ts";
import { loadConfig as loadGeneratorConfig } from "../../src/henb/loadConfig.ts";
import { gatewayConfig } from "../../src/segw/config.ts";

const MINIMAL = {
  segw: `
name: segw.operator.example
listen: [192.0.2.1]
credentials: { chain: c.pem, key: k.pem }
trust: { roots: [r.pem] }
protected: [10.40.0.0/24]
pool: { blocks: [10.64.0.0/16] }
`,
  henb: `
tre: { directory: tre, files: files }
gateway: { name: segw.operator.example }
`,
  hems: `
name: hems.operator.example
listen: [{ address: 192.0.2.5 }]
credentials: { chain: c.pem, key: k.pem }
trust: { roots: [r.pem] }
`,
  load: `
gateway: { name: segw.operator.example, address: 192.0.2.1 }
local: { address: 192.0.2.11 }
trust: { roots: [r.pem] }
devices: [{ chain: c.pem, key: k.pem }]
`,
};

const ROLES = [
  ["segw", gatewayConfig],
  ["henb", deviceConfig],
  ["hems", hemsConfig],
  ["load", loadGeneratorConfig],
] as const;

for (const [role, schema] of ROLES) {
  const file = `complete/${role}.yaml`;
  const complete = readFileSync(new URL(file, import.meta.url), "utf8");

  test(`${role}: the complete file has every key of the schema, and is taken`, () => {
    assert.deepEqual(keysOf(complete), keysOfSchema(schema, []).sort());
    loadConfig(schema, complete, file);
  });

  test(`${role}: every value of the complete file is in force, so that no key is without effect`, () => {
    const full: unknown = loadConfig(schema, complete, file);
    const least: unknown = loadConfig(schema, MINIMAL[role], file);
    for (const key of keysOf(complete)) {
      if (keysOf(MINIMAL[role]).includes(key)) continue;
      assert.notDeepEqual(valueAt(full, key), valueAt(least, key), `${key} is at its default`);
    }
  });

  test(`${role}: without any one key that has no default, the file is refused, and what is missing is named`, () => {
    for (const key of keysOf(MINIMAL[role])) {
      const document = parseDocument(MINIMAL[role]);
      const path = pathOf(key);
      document.deleteIn(path);
      const problems = problemsOf(() => loadConfig(schema, document.toString(), "x.yaml"));
      // A path within a list, or within what is missing with it, is told by what holds it.
      assert.ok(
        problems.some(
          (problem) => problem.includes(`"${path.slice(0, 2).join(".")}`) || problem.includes(`"${path[0]}"`),
        ),
        `${key}: ${problems}`,
      );
    }
  });

  test(`${role}: each key with a letter too many is refused by its line, with the key that was meant`, () => {
    for (const key of keysOfSchema(schema, [])) {
      const path = pathOf(key);
      const document = parseDocument(complete);
      const name = String(path.at(-1));
      const holder = document.getIn(path.slice(0, -1), true) ?? document.contents;
      assert.ok(isMap(holder));
      const pair = holder.items.find((item) => String(item.key) === name)!;
      Object.assign(pair.key as object, { value: `${name}x` });
      const text = document.toString();
      const line = text.slice(0, text.indexOf(`${name}x:`)).split("\n").length;
      const problems = problemsOf(() => loadConfig(schema, text, "x.yaml"));
      const problem = problems.find((one) => one.includes("is no known key"));
      assert.match(
        problem ?? "",
        new RegExp(
          `^x\\.yaml:${line}:\\d+: "${[...path.slice(0, -1), `${name}x`].join(".").replaceAll(".", "\\.")}" is no known key; did you mean "${name}"\\?$`,
        ),
        `${key}: ${problems}`,
      );
    }
  });
}

const AAA_SERVERS = {
  diameter: `aaa:
  tls: { chain: c.pem, key: k.pem, roots: [r.pem] }
  authorizeDevices: false
  server:
    protocol: diameter
    host: segw.operator.example
    realm: operator.example
    destinationRealm: aaa.example
    answerWithin: 2s
    peers:
      - { host: aaa-1.aaa.example, realm: aaa.example, address: 10.40.0.3, port: 5868, tls: true }
`,
  radius: `aaa:
  server:
    protocol: radius
    dynamicAuthorization: { address: 10.40.0.1, port: 3799 }
    servers:
      - { name: one, address: 10.40.0.3, port: 1912, accountingPort: 0, transport: udp, secretFile: secret }
      - { name: two.example, address: 10.40.0.4, transport: radsec }
`,
};

for (const [protocol, yaml] of Object.entries(AAA_SERVERS)) {
  test(`segw: AAA servers by ${protocol} are taken with every key, and each misspelt one is refused by its line`, () => {
    const text = `${MINIMAL.segw}${yaml}`;
    assert.equal(loadConfig(gatewayConfig, text, "x.yaml").aaa?.server.protocol, protocol);
    for (const [, name] of yaml.matchAll(/\b(\w+):(?=[ \n])/g)) {
      if (name === "aaa" || name === "protocol") continue;
      const wrong = `${MINIMAL.segw}${yaml.replace(new RegExp(`\\b${name}:(?=[ \\n])`), `${name}x:`)}`;
      const line = wrong.slice(0, wrong.indexOf(`${name}x:`)).split("\n").length;
      const problems = problemsOf(() => loadConfig(gatewayConfig, wrong, "x.yaml"));
      const expected = new RegExp(
        `^x\\.yaml:${line}:\\d+: "aaa\\..*${name}x" is no known key; did you mean "${name}"\\?$`,
      );
      assert.ok(
        problems.some((problem) => expected.test(problem)),
        problems.join("\n"),
      );
    }
  });
}

test("segw: a RADIUS server over UDP without a secret is refused, and a protocol nobody speaks", () => {
  const refused = (yaml: string) =>
    problemsOf(() => loadConfig(gatewayConfig, `${MINIMAL.segw}${yaml}`, "x.yaml")).join();
  assert.match(refused(AAA_SERVERS.radius.replace(", secretFile: secret", "")), /needs `secretFile`/);
  assert.match(refused(AAA_SERVERS.radius.replace("radius", "tacacs")), /"aaa\.server\.protocol"/);
});

/** What is wrong in a file, and what it is told, all at once and in the file's words. */
const WRONG: [role: "segw" | "henb", yaml: string, problems: RegExp[]][] = [
  ["segw", "listen: []", [/"listen": Too small/]],
  ["segw", "listen: [segw.example]", [/"listen\.0": is no IPv4 or IPv6 address/]],
  ["segw", "name: -x-", [/"name"/]],
  ["segw", "protected: [10.40.0.0/33]", [/"protected\.0": is no address block such as 10\.64\.0\.0\/16/]],
  ["segw", "shutdownLimit: 5", [/"shutdownLimit": "5" is no duration; write it as 500ms, 30s, 5m, 4h or 2d/]],
  ["segw", "ports: { ike: 70000 }", [/"ports\.ike"/]],
  ["segw", "ownStatus: { url: https://ocsp.example/ }", [/"ownStatus\.url": is no http: URL/]],
  ["segw", "integrityInfo: { policy: perhaps }", [/"integrityInfo\.policy": .*ignore.*record.*require/]],
  ["segw", "ike: { proposals: [aes128-shax-modp2048] }", [/"ike\.proposals\.0": .*shax/]],
  ["segw", "ike: { proposals: [3des-sha1-modp1024] }", [/"ike\.proposals\.0": .*allowWeakAlgorithms/]],
  ["segw", "esp: { proposals: [aes128gcm16, 3des-sha1] }", [/"esp\.proposals\.1": .*allowWeakAlgorithms/]],
  ["segw", "ike: { fragmentSize: 100 }", [/"ike\.fragmentSize"/]],
  ["segw", "dataPlane: { mtu: 1000 }", [/"dataPlane\.mtu"/]],
  ["segw", "dataPlane: { interface: longer-than-names }", [/"dataPlane\.interface"/]],
  ["segw", "limits: { maxHalfOpen: 0 }\nuniqueDevices: perhaps", [/"uniqueDevices"/, /"limits\.maxHalfOpen"/]],
  ["segw", "nonsense: 1", [/"nonsense" is no known key; known here are name, listen, ports, /]],
  ["henb", "management: { url: http://hems.example/ }", [/"management\.url": is no https: URL/]],
  [
    "henb",
    "management: { url: https://hems.example/, status: direct }",
    [/"management\.revocation": says nobody to ask for status "direct"/],
  ],
  ["henb", "requestAddresses: []", [/"requestAddresses"/]],
  ["henb", "requestAddresses: [ipv5]", [/"requestAddresses\.0"/]],
  ["henb", "reconnect: { initial: -1s }", [/"reconnect\.initial": "-1s" is no duration/]],
  [
    "henb",
    "gateway: { name: segw.example, adresses: [] }",
    [/"gateway\.adresses" is no known key; did you mean "addresses"\?/],
  ],
];

for (const [role, yaml, expected] of WRONG) {
  test(`${role}: ${yaml.replaceAll("\n", ", ")} is refused where it stands`, () => {
    const key = yaml.split(":")[0]!;
    const kept = MINIMAL[role].split("\n").filter((line) => !line.startsWith(`${key}:`));
    const problems = problemsOf(() =>
      loadConfig(role === "segw" ? gatewayConfig : deviceConfig, [...kept, yaml].join("\n"), "x.yaml"),
    );
    for (const one of expected)
      assert.ok(
        problems.some((problem) => one.test(problem)),
        problems.join("\n"),
      );
    for (const problem of problems)
      assert.match(problem, new RegExp(`^x\\.yaml:(${kept.length + 1}|${kept.length + 2}):\\d+: `));
  });
}

test("a file that is no YAML is refused where it breaks, and one that is empty for what it lacks", () => {
  assert.match(problemsOf(() => loadConfig(deviceConfig, "tre: [\ngateway: {", "x.yaml"))[0]!, /^x\.yaml:\d+:\d+: /);
  assert.match(
    problemsOf(() => loadConfig(deviceConfig, "a: 1\na: 2", "x.yaml"))[0]!,
    /^x\.yaml:2:1: Map keys must be unique/,
  );
  assert.ok(problemsOf(() => loadConfig(deviceConfig, "", "x.yaml")).length >= 2);
  assert.match(problemsOf(() => loadConfig(deviceConfig, "- 1", "x.yaml"))[0]!, /the file/);
});

test("durations are what they say, and 0 switches off", () => {
  for (const [text, expected] of [
    ["500ms", 500],
    ["1.5s", 1_500],
    ["2m", 120_000],
    ["4h", 14_400_000],
    ["2d", 172_800_000],
    ["0", 0],
  ] as const) {
    assert.equal(loadConfig(deviceConfig, `${MINIMAL.henb}shutdownLimit: ${text}`, "x.yaml").shutdownLimit, expected);
  }
});

test("the defaults are the stricter reading: a device demands the gateway's status, a gateway sends it (7.2.2-6, 7.2.3-4)", () => {
  const device = loadConfig(deviceConfig, MINIMAL.henb, "x.yaml");
  const gateway = loadConfig(gatewayConfig, MINIMAL.segw, "x.yaml");
  assert.equal(device.ocsp.inBand, "leaf");
  assert.deepEqual(gateway.ownStatus, { send: "leaf", unasked: false, refreshAfter: 3600_000 });
  assert.equal(gateway.uniqueDevices, true);
  assert.equal(gateway.pool.required, true);
  for (const { ike, esp } of [device, gateway]) {
    assert.equal(ike.allowWeakAlgorithms || esp.allowWeakAlgorithms, false);
    assert.doesNotMatch([...ike.proposals, ...esp.proposals].join(), /sha1|3des|modp1024|modp1536/);
  }
});

function problemsOf(load: () => unknown): readonly string[] {
  try {
    load();
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems;
  }
  return assert.fail("was taken");
}

/** "ike.retransmission.tries", a list's members as its first one: "devices.0.chain". */
function keysOf(yaml: string): string[] {
  const keys: string[] = [];
  const walk = (node: unknown, path: string) => {
    if (isMap(node))
      for (const { key, value } of node.items) {
        const here = path === "" ? String(key) : `${path}.${key}`;
        if (isMap(value) || (isSeq(value) && isMap(value.items[0]))) walk(value, here);
        else keys.push(here);
      }
    else if (isSeq(node)) walk(node.items[0], `${path}.0`);
  };
  walk(parseDocument(yaml).contents, "");
  return keys.sort();
}

function keysOfSchema(schema: z.ZodType, path: readonly string[]): string[] {
  let here: unknown = schema;
  while (here instanceof z.ZodOptional || here instanceof z.ZodDefault || here instanceof z.ZodPrefault)
    here = here.def.innerType;
  if (here instanceof z.ZodObject)
    return Object.entries(here.shape as Record<string, z.ZodType>)
      .filter(([key]) => !ELSEWHERE.includes(key))
      .flatMap(([key, inner]) => keysOfSchema(inner, [...path, key]));
  if (here instanceof z.ZodArray && here.element instanceof z.ZodObject)
    return keysOfSchema(here.element, [...path, "0"]);
  return [path.join(".")];
}

function pathOf(key: string): (string | number)[] {
  return key.split(".").map((step) => (/^\d+$/.test(step) ? Number(step) : step));
}

function valueAt(value: unknown, key: string): unknown {
  return key.split(".").reduce<unknown>((here, step) => (here as Record<string, unknown> | undefined)?.[step], value);
}

/** Sections of many forms: that of AAA servers above, the other in test/revocation. */
const ELSEWHERE: readonly string[] = ["revocation", "aaa"];
