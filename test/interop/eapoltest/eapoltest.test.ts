import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { RunningAaa } from "../../../src/aaa/serve.ts";
import { IMSI, K, OPC } from "../../aaa/made.ts";
import { Place, provisioning, SECRET } from "../../aaa/served.ts";
import { CardReader, READER } from "../../tre/cardReader.ts";

const LOOPBACK = { address: "127.0.0.1", port: 0 };
const REALM = "nai.epc.mnc001.mcc001.3gppnetwork.org";

let reader: CardReader;
before(async () => {
  reader = await CardReader.start();
});
after(() => reader[Symbol.asyncDispose]());

interface Served {
  place: Place;
  aaa: RunningAaa;
  ask: ReturnType<typeof provisioning>;
}

async function served(ends: AsyncDisposableStack, seq: number, policy: object = {}): Promise<Served> {
  const place = new Place(ends, {
    radius: { authentication: [LOOPBACK], clients: [{ name: "loopback", block: "127.0.0.1", secretFile: "secret" }] },
    admin: { listen: LOOPBACK, tokenFile: "secret" },
    policy: { unknownDevices: "allow", ...policy },
  });
  const aaa = await place.serve(ends);
  const ask = provisioning(aaa.ports.admin!);
  await ask("POST", "/subscribers", { imsi: IMSI, k: K.toString("hex"), opc: OPC.toString("hex"), seq });
  return { place, aaa, ask };
}

/** One run of eapol_test with a fresh card; `again` further authentications in it. */
async function run({ place, aaa }: Served, eap: string, prefix: string, { cardSeq = 0, k = K, again = 0 } = {}) {
  await reader.insert({
    imsi: IMSI,
    k: k.toString("hex"),
    opc: OPC.toString("hex"),
    mncDigits: 2,
    pin: undefined,
    seq: cardSeq,
    protocol: "T=0",
  });
  try {
    const configuration = join(place.folder, "network.conf");
    writeFileSync(
      configuration,
      `network={\n  key_mgmt=IEEE8021X\n  eap=${eap}\n  identity="${prefix}${IMSI}@${REALM}"\n  pcsc=""\n}\n`,
    );
    const server = ["-a", "127.0.0.1", "-p", String(aaa.ports.radius[0]), "-s", SECRET];
    const args = ["-c", configuration, ...server, "-R", `${READER} 00 00`, "-t", "20", "-r", String(again)];
    const options = { maxBuffer: 16e6, env: { ...process.env, PCSCLITE_CSOCK_NAME: reader.socketName } };
    return await new Promise<{ succeeded: boolean; output: string }>((resolve) => {
      execFile("eapol_test", args, options, (error, output) => {
        const keys = new RegExp(`^MPPE keys OK: ${again + 1} {2}mismatch: 0$`, "m").test(output);
        resolve({ succeeded: error === null && keys, output });
      });
    });
  } finally {
    await reader.remove();
  }
}

for (const [eap, prefix] of [
  ["AKA", "0"],
  ["AKA'", "6"],
] as const) {
  test(`eapol_test with ${eap}: full authentication, fast re-authentication, keys that agree`, async () => {
    await using ends = new AsyncDisposableStack();
    const aaa = await served(ends, 0);
    const { succeeded, output } = await run(aaa, eap, prefix, { again: 2 });
    assert.ok(succeeded, output);
    const [subscriber] = (await aaa.ask("GET", "/subscribers")).body as { seq: number }[];
    assert.equal(subscriber?.seq, 1, "one vector for three authentications");
  });

  test(`eapol_test with ${eap}: a card ahead of the HSS is brought into step by AUTS, and stays so`, async () => {
    await using ends = new AsyncDisposableStack();
    const aaa = await served(ends, 3);
    const { succeeded, output } = await run(aaa, eap, prefix, { cardSeq: 1000 });
    assert.ok(succeeded, output);
    const [subscriber] = (await aaa.ask("GET", "/subscribers")).body as { seq: number }[];
    assert.ok(subscriber!.seq > 1000);
  });
}

test("eapol_test is refused with a wrong key, when its subscriber is barred, and on a device it is not bound to", async () => {
  await using ends = new AsyncDisposableStack();
  const aaa = await served(ends, 0, { hostingPartyBinding: "listed" });
  const wrongKey = await run(aaa, "AKA", "0", { k: Buffer.alloc(16) });
  assert.ok(!wrongKey.succeeded);
  await aaa.ask("POST", "/bindings", { imsi: IMSI, device: "elsewhere.example" });
  const unbound = await run(aaa, "AKA", "0");
  assert.ok(!unbound.succeeded && /EAP-FAILURE/.test(unbound.output));
  // eapol_test's Calling-Station-Id is this address.
  await aaa.ask("POST", "/bindings", { imsi: IMSI, device: "02-00-00-00-00-01" });
  const bound = await run(aaa, "AKA", "0");
  assert.ok(bound.succeeded, bound.output);
  await aaa.ask("PUT", `/subscribers/${IMSI}`, { barred: true });
  assert.ok(!(await run(aaa, "AKA", "0")).succeeded);
});
