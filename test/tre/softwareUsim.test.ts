import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { AMF_PLAIN, makeVector, readAuts } from "../../src/eap/authenticationVector.ts";
import { milenage } from "../../src/eap/milenage.ts";
import { tuak } from "../../src/eap/tuak.ts";
import { SoftwareUsim } from "../../src/tre/softwareUsim.ts";
import { UsimError } from "../../src/tre/usim.ts";
import { USIM, usimFolder } from "./usimFolder.ts";

const FUNCTIONS = milenage(Buffer.from(USIM.k, "hex"), Buffer.from(USIM.opc, "hex"));
const RAND = Buffer.alloc(16, 7);
const vector = (seq: number, ind = 1) => makeVector(FUNCTIONS, RAND, seq * 32 + ind, AMF_PLAIN);
const refused = (reason: UsimError["reason"]) => (error: unknown) =>
  error instanceof UsimError && error.reason === reason;

test("a USIM from a folder says who its subscriber is and answers its operator's challenge", async () => {
  const usim = new SoftwareUsim(usimFolder());
  assert.deepEqual(await usim.subscriber(), { imsi: USIM.imsi, mncDigits: 2 });
  const { autn, xres, ck, ik } = vector(1);
  assert.deepEqual(await usim.authenticate(RAND, autn), { kind: "authenticated", res: xres, ck, ik });
});

test("a TUAK card answers with a RES as long as its file says", async () => {
  const k = "ab".repeat(32);
  const topc = "cd".repeat(32);
  const usim = new SoftwareUsim(
    usimFolder(
      `imsi: "310150123456789"\nmncDigits: 3\nalgorithm: { name: tuak, k: "${k}", topc: "${topc}", res: 128, iterations: 2 }\n`,
    ),
  );
  assert.equal((await usim.subscriber()).mncDigits, 3);
  const functions = tuak(Buffer.from(k, "hex"), Buffer.from(topc, "hex"), {
    mac: 64,
    res: 128,
    ck: 128,
    ik: 128,
    iterations: 2,
  });
  const { autn, xres, ck, ik } = makeVector(functions, RAND, 33, AMF_PLAIN);
  assert.equal(xres.length, 16);
  assert.deepEqual(await usim.authenticate(RAND, autn), { kind: "authenticated", res: xres, ck, ik });
});

test("a challenge is accepted once, by the same object and by a new one on the same folder", async () => {
  const folder = usimFolder();
  const usim = new SoftwareUsim(folder);
  const { autn } = vector(5);
  assert.equal((await usim.authenticate(RAND, autn)).kind, "authenticated");
  for (const again of [usim, new SoftwareUsim(folder)]) {
    const answer = await again.authenticate(RAND, autn);
    assert.ok(answer.kind === "syncFailure");
    assert.equal(readAuts(FUNCTIONS, RAND, answer.auts), 5 * 32 + 1);
  }
});

test("a USIM process that is killed the moment its answer is out has that challenge on the disk", async () => {
  const folder = usimFolder();
  const { autn } = vector(9);
  const script = `import { SoftwareUsim } from ${JSON.stringify(import.meta.resolve("../../src/tre/softwareUsim.ts"))};
    const usim = new SoftwareUsim(${JSON.stringify(folder)});
    const answer = await usim.authenticate(Buffer.alloc(16, 7), Buffer.from("${autn.toString("hex")}", "hex"));
    process.stdout.write(answer.kind);
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [printed] = (await once(child.stdout, "data")) as [Buffer];
  child.kill("SIGKILL");
  await once(child, "exit");
  assert.equal(printed.toString(), "authenticated");
  assert.equal((await new SoftwareUsim(folder).authenticate(RAND, autn)).kind, "syncFailure");
});

test("a state that cannot be written gives no answer, and the challenge is still good afterwards", async () => {
  const folder = usimFolder();
  const usim = new SoftwareUsim(folder);
  const { autn } = vector(3);
  const inTheWay = join(folder, "sqn.json.new");
  mkdirSync(inTheWay);
  await assert.rejects(usim.authenticate(RAND, autn), refused("StateNotWritten"));
  rmSync(inTheWay, { recursive: true });
  assert.equal((await usim.authenticate(RAND, autn)).kind, "authenticated");
});

test("challenges at the same time are answered one after the other, each once", async () => {
  const folder = usimFolder();
  const usim = new SoftwareUsim(folder);
  const autns = Array.from({ length: 20 }, (_, index) => vector(index + 1, index).autn);
  const answers = await Promise.all([...autns, ...autns].map((autn) => usim.authenticate(RAND, autn)));
  const kinds = answers.map(({ kind }) => kind);
  assert.deepEqual(kinds.slice(0, 20), new Array(20).fill("authenticated"));
  assert.deepEqual(kinds.slice(20), new Array(20).fill("syncFailure"));
  const { seq } = JSON.parse(readFileSync(join(folder, "sqn.json"), "utf8")) as { seq: number[] };
  assert.deepEqual(
    seq.slice(0, 20),
    Array.from({ length: 20 }, (_, index) => index + 1),
  );
});

test("a failed challenge writes nothing", async () => {
  const folder = usimFolder();
  const usim = new SoftwareUsim(folder);
  assert.deepEqual(await usim.authenticate(RAND, Buffer.alloc(16)), { kind: "macFailure" });
  assert.throws(() => statSync(join(folder, "sqn.json")), /ENOENT/);
});

test("the state is for its owner's eyes", async () => {
  const folder = usimFolder();
  await new SoftwareUsim(folder).authenticate(RAND, vector(1).autn);
  assert.equal(statSync(join(folder, "sqn.json")).mode & 0o777, 0o600);
});

test("a damaged state is refused instead of begun anew", () => {
  for (const state of ["", "{", "[]", '{"seq":[1,2,3]}', '{"seq":["0"]}', JSON.stringify({ seq: Array(32).fill(-1) })])
    assert.throws(() => new SoftwareUsim(usimFolder(undefined, state)), refused("StateUnreadable"), state);
});

test("the rules for SQN stand in the card's file", async () => {
  const usim = new SoftwareUsim(
    usimFolder(`imsi: "${USIM.imsi}"
algorithm: { name: milenage, k: ${USIM.k}, opc: ${USIM.opc} }
sqn: { delta: 10 }
`),
  );
  assert.equal((await usim.authenticate(RAND, vector(11).autn)).kind, "syncFailure");
  assert.equal((await usim.authenticate(RAND, vector(10).autn)).kind, "authenticated");
});

test("a card's file that is wrong is told by line, without the key", () => {
  const secret = "465b5ce8b199b49faa5f0a2ee238a6b";
  for (const [text, message] of [
    [`imsi: 12\nalgorithm: { name: milenage, k: ${USIM.k}, opc: ${USIM.opc} }`, /usim\.yaml:1.*imsi/],
    [
      `imsi: "${USIM.imsi}"\nalgorithm: { name: milenage, k: ${secret}, opc: ${USIM.opc} }`,
      /usim\.yaml:2.*"algorithm\.k"/,
    ],
    [`imsi: "${USIM.imsi}"\nalgorithm: { name: comp128 }`, /usim\.yaml:2/],
    [
      `imsi: "${USIM.imsi}"\nalgorithm: { name: milenage, k: ${USIM.k}, opc: ${USIM.opc} }\npin: 1`,
      /usim\.yaml:3.*pin/,
    ],
  ] as const) {
    assert.throws(
      () => new SoftwareUsim(usimFolder(text)),
      (error) => error instanceof Error && message.test(error.message) && !error.message.includes(secret),
      text,
    );
  }
  assert.throws(() => new SoftwareUsim("/nowhere"), refused("Unreadable"));
});
