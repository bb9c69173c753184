/** An AAA server of ours to be measured: its subscribers, its configuration, its process. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { Subscribers } from "../src/aaa/hss/subscribers.ts";
import { makeTables } from "../src/aaa/tables.ts";
import { RoleProcess } from "../src/lab/roleProcess.ts";
import { systemEnvironment } from "../src/sim/system.ts";
import { SqliteDatabase } from "../src/store/sqlite.ts";

/** Keys in hexadecimal. */
export interface Subscriber {
  imsi: string;
  k: string;
  opc: string;
}

export function makeSubscribers(count: number): Subscriber[] {
  const key = () => Buffer.from(systemEnvironment.random.bytes(16)).toString("hex");
  return Array.from({ length: count }, (_, index) => {
    return { imsi: `00101${String(index).padStart(10, "0")}`, k: key(), opc: key() };
  });
}

/** Writes the configuration and fills its database; gives the file. It logs faults only. */
export async function writeAaa(folder: string, subscribers: readonly Subscriber[], settings: object): Promise<string> {
  const file = join(folder, "aaa.yaml");
  writeFileSync(file, stringify({ ...settings, log: { level: "error" } }));
  const database = new SqliteDatabase(join(folder, "aaa.sqlite"));
  await makeTables(database);
  const known = new Subscribers(database);
  await Promise.all(
    subscribers.map(({ imsi, k, opc }) =>
      known.add({ imsi, algorithm: "milenage", k: Buffer.from(k, "hex"), opc: Buffer.from(opc, "hex") }),
    ),
  );
  await database.close();
  return file;
}

export interface RunningAaa {
  pid: number;
  /** The first port of either protocol. */
  radius: number;
  diameter: number;
  /** Octets in use, without garbage. */
  memory(): Promise<number>;
}

export async function startAaa(file: string, ends: AsyncDisposableStack): Promise<RunningAaa> {
  const role = RoleProcess.start({
    name: "femtogate aaa",
    program: join(import.meta.dirname, "./peers/femtogateAaa.ts"),
    args: [file],
    prefix: [],
    onRecord: () => undefined,
  });
  ends.defer(() => role.crash());
  const { radius, diameter } = await role.waitFor("server", ({ event }) => event === "ready", LIMIT_MS);
  const memory = async () => {
    const told = role.waitFor("memory", ({ event }) => event === "memory", LIMIT_MS);
    role.say("memory");
    return (await told).octets as number;
  };
  return { pid: role.pid!, radius: (radius as number[])[0]!, diameter: (diameter as number[])[0]!, memory };
}

const LIMIT_MS = 60_000;
