/** femtogate aaa: the AAA server with its HSS, and what is provisioned in its database. */
import { readFileSync } from "node:fs";
import { aaaConfig } from "../../aaa/config.ts";
import { AUTHENTICATIONS, Devices, VERDICTS } from "../../aaa/devices.ts";
import { ALGORITHMS, Subscribers } from "../../aaa/hss/subscribers.ts";
import { openDatabase, serveAaa } from "../../aaa/serve.ts";
import { deriveOpc } from "../../eap/milenage.ts";
import { deriveTopc } from "../../eap/tuak.ts";
import { readConfig } from "../../ipsec/roleFiles.ts";
import { systemEnvironment } from "../../sim/system.ts";
import type { Database } from "../../store/sql.ts";
import { type Command, type Io, numberOption, oneConfiguration, oneOf, parse, UsageError } from "../command.ts";

const USAGE = `femtogate aaa: AAA server (Diameter SWm, RADIUS) and HSS of TS 33.320 A.2

  femtogate aaa serve CONFIG.yaml
  femtogate aaa subscriber add CONFIG.yaml --imsi DIGITS --k HEX --opc HEX | --op HEX
                         [--algorithm ${ALGORITHMS.join("|")}] [--seq NUMBER] [PROFILE]
  femtogate aaa subscriber remove|bar|unbar CONFIG.yaml --imsi DIGITS
  femtogate aaa subscriber list CONFIG.yaml [--json]
  femtogate aaa device put CONFIG.yaml --name FQDN|*.DOMAIN|* [--verdict ${VERDICTS.join("|")}]
                         [--authentication ${AUTHENTICATIONS.join("|")}] [--location "BLOCK ..."] [PROFILE]
  femtogate aaa device remove CONFIG.yaml --name FQDN
  femtogate aaa device list CONFIG.yaml [--json]
  femtogate aaa bind|unbind CONFIG.yaml --imsi DIGITS --device FQDN
  femtogate aaa bindings CONFIG.yaml [--json]

PROFILE is any of --address ADDRESS --filter NAME --session-timeout SECONDS. HEX may be @FILE, which keeps keys out of
the list of processes. The server may run meanwhile; it sees what is provisioned with the next request.`;

export const command: Command = {
  name: "aaa",
  summary: "AAA server and HSS: Diameter and RADIUS",
  usage: USAGE,
  async run(args, io) {
    const [verb = "", ...rest] = args;
    const group = GROUPS[verb];
    if (group === undefined) {
      const action = ACTIONS[verb];
      if (action === undefined)
        throw new UsageError(`say what to do: ${[...Object.keys(ACTIONS), ...Object.keys(GROUPS)].join(", ")}`);
      return action(rest, io);
    }
    const [what = "", ...more] = rest;
    const action = group[what];
    if (action === undefined) throw new UsageError(`say what to do with a ${verb}: ${Object.keys(group).join(", ")}`);
    return action(more, io);
  },
};

type Action = (args: string[], io: Io) => Promise<number>;

const ACTIONS: Record<string, Action> = {
  serve,
  bind: (args, io) =>
    binding(args, io, async (devices, imsi, device) => {
      await devices.bind(imsi, device);
      return true;
    }),
  unbind: (args, io) => binding(args, io, (devices, imsi, device) => devices.unbind(imsi, device)),
  bindings: listBindings,
};

const GROUPS: Record<string, Record<string, Action>> = {
  subscriber: {
    add: addSubscriber,
    list: listSubscribers,
    remove: (args, io) => onSubscriber(args, io, (subscribers, imsi) => subscribers.remove(imsi)),
    bar: (args, io) => onSubscriber(args, io, (subscribers, imsi) => subscribers.setBarred(imsi, true)),
    unbar: (args, io) => onSubscriber(args, io, (subscribers, imsi) => subscribers.setBarred(imsi, false)),
  },
  device: { put: putDevice, list: listDevices, remove: removeDevice },
};

const profileOptions = {
  address: { type: "string" },
  filter: { type: "string" },
  "session-timeout": { type: "string" },
} as const;

async function serve(args: string[], io: Io): Promise<number> {
  const { positionals } = parse({ args, allowPositionals: true, options: {} });
  const running = await serveAaa(oneConfiguration(positionals), systemEnvironment, io.write);
  await io.stopped;
  await running.stop();
  return 0;
}

async function addSubscriber(args: string[], io: Io): Promise<number> {
  const { values, positionals } = parse({
    args,
    allowPositionals: true,
    options: {
      imsi: { type: "string" },
      k: { type: "string" },
      opc: { type: "string" },
      op: { type: "string" },
      algorithm: { type: "string" },
      seq: { type: "string" },
      ...profileOptions,
    },
  });
  const imsi = required("--imsi", values.imsi);
  const algorithm = oneOf("--algorithm", values.algorithm ?? "milenage", ALGORITHMS);
  const k = hexOption("--k", values.k);
  if ((values.opc === undefined) === (values.op === undefined))
    throw new UsageError("give --opc or --op: one of the two");
  const derive = algorithm === "milenage" ? deriveOpc : deriveTopc;
  const opc = values.opc === undefined ? derive(k, hexOption("--op", values.op)) : hexOption("--opc", values.opc);
  const seq = values.seq === undefined ? undefined : numberOption("--seq", values.seq, 0, 2 ** 43 - 1);
  await withDatabase(positionals, (database) =>
    new Subscribers(database).add({ imsi, algorithm, k, opc, seq, ...profileOf(values) }),
  );
  io.print(`added ${imsi}`);
  return 0;
}

async function listSubscribers(args: string[], io: Io): Promise<number> {
  const { values, positionals } = parse({ args, allowPositionals: true, options: { json: { type: "boolean" } } });
  const entries = await withDatabase(positionals, (database) => new Subscribers(database).list());
  for (const entry of entries) {
    if (values.json === true) io.print(JSON.stringify(entry));
    else
      io.print(
        `${entry.imsi.padEnd(15)}  ${entry.algorithm.padEnd(8)}  SEQ ${entry.seq}${entry.barred ? "  barred" : ""}`,
      );
  }
  return 0;
}

async function onSubscriber(
  args: string[],
  io: Io,
  act: (subscribers: Subscribers, imsi: string) => Promise<boolean>,
): Promise<number> {
  const { values, positionals } = parse({ args, allowPositionals: true, options: { imsi: { type: "string" } } });
  const imsi = required("--imsi", values.imsi);
  const found = await withDatabase(positionals, (database) => act(new Subscribers(database), imsi));
  if (!found) io.complain(`femtogate aaa: there is no subscriber ${imsi}`);
  return found ? 0 : 1;
}

async function putDevice(args: string[], io: Io): Promise<number> {
  const { values, positionals } = parse({
    args,
    allowPositionals: true,
    options: {
      name: { type: "string" },
      verdict: { type: "string" },
      authentication: { type: "string" },
      location: { type: "string" },
      ...profileOptions,
    },
  });
  const identity = required("--name", values.name);
  const entry = {
    identity,
    verdict: oneOf("--verdict", values.verdict ?? "allow", VERDICTS),
    authentication: oneOf("--authentication", values.authentication ?? "either", AUTHENTICATIONS),
    location: values.location,
    ...profileOf(values),
  };
  await withDatabase(positionals, (database) => devicesIn(database).put(entry));
  io.print(`${entry.verdict} ${identity}: ${entry.authentication}`);
  return 0;
}

async function listDevices(args: string[], io: Io): Promise<number> {
  const { values, positionals } = parse({ args, allowPositionals: true, options: { json: { type: "boolean" } } });
  for (const entry of await withDatabase(positionals, (database) => devicesIn(database).list())) {
    if (values.json === true) io.print(JSON.stringify(entry));
    else io.print(`${entry.verdict.padEnd(5)}  ${entry.authentication.padEnd(11)}  ${entry.identity}`);
  }
  return 0;
}

async function removeDevice(args: string[], io: Io): Promise<number> {
  const { values, positionals } = parse({ args, allowPositionals: true, options: { name: { type: "string" } } });
  const name = required("--name", values.name);
  const found = await withDatabase(positionals, (database) => devicesIn(database).remove(name));
  if (!found) io.complain(`femtogate aaa: there is no entry for ${name}`);
  return found ? 0 : 1;
}

async function binding(
  args: string[],
  io: Io,
  act: (devices: Devices, imsi: string, device: string) => Promise<boolean>,
): Promise<number> {
  const { values, positionals } = parse({
    args,
    allowPositionals: true,
    options: { imsi: { type: "string" }, device: { type: "string" } },
  });
  const imsi = required("--imsi", values.imsi);
  const device = required("--device", values.device);
  const found = await withDatabase(positionals, (database) => act(devicesIn(database), imsi, device));
  if (!found) io.complain(`femtogate aaa: ${imsi} is not bound to ${device}`);
  return found ? 0 : 1;
}

async function listBindings(args: string[], io: Io): Promise<number> {
  const { values, positionals } = parse({ args, allowPositionals: true, options: { json: { type: "boolean" } } });
  for (const entry of await withDatabase(positionals, (database) => devicesIn(database).bindings()))
    io.print(values.json === true ? JSON.stringify(entry) : `${entry.imsi.padEnd(15)}  ${entry.device}`);
  return 0;
}

async function withDatabase<T>(positionals: readonly string[], work: (database: Database) => Promise<T>): Promise<T> {
  const { config, at } = readConfig(aaaConfig, oneConfiguration(positionals));
  const database = await openDatabase(config, at);
  try {
    return await work(database);
  } finally {
    await database.close();
  }
}

/** For entries and bindings, which no policy bears on. */
function devicesIn(database: Database): Devices {
  return new Devices(database, { unknownDevices: "deny", authentication: "either", hostingPartyBinding: "off" });
}

function profileOf(values: {
  address?: string | undefined;
  filter?: string | undefined;
  "session-timeout"?: string | undefined;
}) {
  const timeout = values["session-timeout"];
  return {
    address: values.address,
    filter: values.filter,
    sessionTimeout: timeout === undefined ? undefined : numberOption("--session-timeout", timeout, 1, 2 ** 32 - 1),
  };
}

function required(option: string, value: string | undefined): string {
  if (value === undefined || value === "") throw new UsageError(`${option} is missing`);
  return value;
}

function hexOption(option: string, value: string | undefined): Buffer {
  const given = required(option, value);
  const digits = given.startsWith("@") ? readFileSync(given.slice(1), "utf8").trim() : given;
  // The value is not repeated: it is a key.
  if (!/^([0-9a-f]{2})+$/i.test(digits))
    throw new UsageError(`${option} takes hexadecimal digits, or @FILE that holds them`);
  return Buffer.from(digits, "hex");
}
