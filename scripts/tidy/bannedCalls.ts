/**
 * Protocol cores have no I/O: no clock, randomness, timer, socket, file or process of their own. `Clock` and `Random`
 * are passed in, all else is an effect that the shell carries out; so the same core runs under the simulator, in a
 * fuzzer and on a real machine, and replays exactly.
 *
 * Imports of types only are allowed: nothing of them is there at run time.
 */
import { Visitor } from "oxc-parser";
import type { Rule, SourceFile, Violation } from "./tree.ts";

export const bannedCalls: Rule = function* (tree) {
  const needed = new Set<Exception>();
  for (const file of tree.files.values()) {
    const [area, folder] = file.path.split("/");
    if (area !== "src" || !CORES.has(folder!)) continue;
    for (const found of [...bannedImports(file), ...bannedGlobals(file)]) {
      const exception = EXCEPTIONS.find(({ path }) => file.path.startsWith(path));
      if (exception === undefined) yield found;
      else needed.add(exception);
    }
  }
  for (const exception of EXCEPTIONS) {
    const present = [...tree.files.keys()].find((path) => path.startsWith(exception.path));
    if (present === undefined || needed.has(exception)) continue;
    yield {
      path: present,
      line: 1,
      rule: RULE,
      message: `needs no exception in scripts/tidy/bannedCalls.ts: delete it`,
    };
  }
};

function* bannedImports(file: SourceFile): Generator<Violation> {
  for (const { specifier, names, typeOnly, line } of file.imports) {
    if (typeOnly) continue;
    const module = specifier.replace(/^node:/, "");
    if (MODULES.has(module)) yield violation(file, line, specifier, "I/O belongs to the shells: make it an effect");
    if (module !== "crypto") continue;
    for (const name of names.filter((imported) => CRYPTO_RANDOM.has(imported))) {
      yield violation(file, line, name, "take Random as a parameter");
    }
  }
}

function bannedGlobals(file: SourceFile): Violation[] {
  const found: Violation[] = [];
  const report = (offset: number, what: string, remedy: string) =>
    found.push(violation(file, file.line(offset), what, remedy));
  new Visitor({
    MemberExpression({ object, property, computed, start }) {
      if (object.type !== "Identifier") return;
      const member = !computed && property.type === "Identifier" ? `${object.name}.${property.name}` : "";
      if (member in MEMBERS) report(start, member, MEMBERS[member]!);
      else if (OBJECTS.has(object.name)) report(start, object.name, "pass in what the core needs of it");
    },
    NewExpression({ callee, arguments: given, start }) {
      if (callee.type === "Identifier" && callee.name === "Date" && given.length === 0) {
        report(start, "new Date()", MEMBERS["Date.now"]!);
      }
    },
    CallExpression({ callee, arguments: given, start }) {
      if (callee.type === "Identifier" && callee.name === "Date") report(start, "Date()", MEMBERS["Date.now"]!);
      for (const called of [callee, ...given]) {
        if (called.type === "Identifier" && called.name in FUNCTIONS)
          report(start, called.name, FUNCTIONS[called.name]!);
      }
    },
  }).visit(file.program);
  return found;
}

function violation(file: SourceFile, line: number, what: string, remedy: string): Violation {
  return { path: file.path, line, rule: RULE, message: `${what} in a core: ${remedy}` };
}

interface Exception {
  /** A file, or a folder with a slash at its end. */
  path: string;
  reason: string;
}

const RULE = "banned-calls";

const CORES: ReadonlySet<string> = new Set([
  ...["ike", "esp", "eap", "diameter", "radius", "cwmp", "trust", "x509", "der", "bytes"],
]);

const EXCEPTIONS: readonly Exception[] = [
  {
    path: "src/esp/planes/",
    reason: "a data plane is a shell: it moves packets between devices, sockets and the core",
  },
  {
    path: "src/diameter/transport/",
    reason: "the shell of the Diameter node: its TCP and TLS sockets, for the gateway and the AAA server alike",
  },
  {
    path: "src/radius/transport/",
    reason:
      "the shell of the RADIUS client and server: UDP sockets and RadSec, for the gateway and the AAA server alike",
  },
];

const MODULES: ReadonlySet<string> = new Set([
  ...["net", "dgram", "dns", "dns/promises", "http", "http2", "https", "tls"],
  ...["fs", "fs/promises", "sqlite", "readline", "readline/promises"],
  ...["child_process", "cluster", "worker_threads", "process", "os"],
  ...["timers", "timers/promises", "perf_hooks"],
]);

const CRYPTO_RANDOM: ReadonlySet<string> = new Set([
  ...["randomBytes", "randomFill", "randomFillSync", "randomInt", "randomUUID", "getRandomValues", "webcrypto"],
]);

const MEMBERS: Readonly<Record<string, string>> = {
  "Date.now": "take Clock as a parameter",
  "Math.random": "take Random as a parameter",
};

const OBJECTS: ReadonlySet<string> = new Set(["process", "performance", "globalThis"]);

const TIMER = "make it an effect that asks the shell for a timer";

const FUNCTIONS: Readonly<Record<string, string>> = {
  setTimeout: TIMER,
  setInterval: TIMER,
  setImmediate: TIMER,
  fetch: "make it an effect that asks the shell for an answer",
};
