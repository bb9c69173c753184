/** wpa_supplicant's peer (eapol_test), with a virtual USIM in a virtual reader, against our server: see README.md. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { AkaServerOptions } from "../../../src/eap/aka/serverTypes.ts";
import { AKA, AKA_PRIME, type AkaVariant } from "../../../src/eap/aka/variant.ts";
import type { EapRefusal, EapResult } from "../../../src/eap/method.ts";
import { CardReader, READER } from "../../tre/cardReader.ts";
import { IMSI, K, OPC, Operator, REALM } from "../aka/conversation.ts";
import { SECRET, startEapServer } from "./eapServer.ts";

let reader: CardReader;
before(async () => {
  reader = await CardReader.start();
});
after(() => reader[Symbol.asyncDispose]());

interface Run {
  /** Exit status 0, and the keys of RADIUS are those that eapol_test derived. */
  succeeded: boolean;
  output: string;
  outcomes: readonly (EapResult | EapRefusal)[];
  operator: Operator;
}

interface Peer {
  variants?: readonly AkaVariant[];
  /** Of eapol_test's configuration. */
  eap?: string;
  k?: Buffer;
  /** SEQ that the USIM has seen. */
  seq?: number;
  phase1?: string;
  prefix?: string;
  /** Further authentications in the same run. */
  again?: number;
  server?: Partial<AkaServerOptions>;
  authorization?: Operator["authorization"];
}

async function authenticate({
  variants = [AKA],
  eap = "AKA",
  k = K,
  seq = 0,
  phase1 = "",
  prefix = "0",
  again = 0,
  server = {},
  authorization = "allowed",
}: Peer): Promise<Run> {
  const operator = new Operator(1);
  operator.authorization = authorization;
  await using radius = await startEapServer(operator, variants, server);
  const folder = mkdtempSync(join(tmpdir(), "eapol-"));
  const card = {
    imsi: IMSI,
    k: k.toString("hex"),
    opc: OPC.toString("hex"),
    mncDigits: 2,
    pin: undefined,
    seq,
  } as const;
  await reader.insert({ ...card, protocol: "T=0" });
  try {
    const configuration = join(folder, "network.conf");
    writeFileSync(
      configuration,
      `network={
  key_mgmt=IEEE8021X
  eap=${eap}
  identity="${prefix}${IMSI}@${REALM}"
  pcsc=""
  phase1="${phase1}"
}
`,
    );
    const args = [
      "-c",
      configuration,
      "-a",
      "127.0.0.1",
      "-p",
      String(radius.port),
      "-s",
      SECRET.toString(),
      "-R",
      `${READER} 00 00`,
    ];
    const options = { maxBuffer: 16e6, env: { ...process.env, PCSCLITE_CSOCK_NAME: reader.socketName } };
    const { status, stdout } = await new Promise<{ status: number; stdout: string }>((resolve) => {
      execFile("eapol_test", [...args, "-t", "20", "-r", String(again)], options, (error, output) =>
        resolve({ status: typeof error?.code === "number" ? error.code : error === null ? 0 : 1, stdout: output }),
      );
    });
    const matches = [...stdout.matchAll(/^MPPE keys OK: (\d+) {2}mismatch: (\d+)$/gm)];
    const keysMatch = matches.length === 1 && Number(matches[0]![1]) === again + 1 && matches[0]![2] === "0";
    return { succeeded: status === 0 && keysMatch, output: stdout, outcomes: [...radius.outcomes], operator };
  } finally {
    rmSync(folder, { recursive: true });
    await reader.remove();
  }
}

/** What each conversation came to: the first digit of the identity in use, or the reason of a refusal. */
function summary({ outcomes }: Run): string[] {
  return outcomes.map((one) => ("reason" in one ? one.reason : one.identity[0]!));
}

for (const [variant, eap, prefix, pseudonym, reauth] of [
  [AKA, "AKA", "0", "2", "4"],
  [AKA_PRIME, "AKA'", "6", "7", "8"],
] as const) {
  const base = { variants: [variant], eap, prefix };

  test(`eapol_test authenticates with ${eap} and derives our MSK`, async () => {
    const run = await authenticate(base);
    assert.ok(run.succeeded, run.output);
    assert.deepEqual(summary(run), [prefix]);
  });

  test(`eapol_test with ${eap}: fast re-authentication, then pseudonym and full authentication again`, async () => {
    const run = await authenticate({ ...base, again: 4, server: { maxReauthentications: 2 } });
    assert.ok(run.succeeded, run.output);
    assert.deepEqual(summary(run), [prefix, reauth, reauth, pseudonym, reauth]);
    assert.equal(run.operator.vectors, 2);
  });

  test(`eapol_test with ${eap}: identity asked for inside the method, protected by AT_CHECKCODE`, async () => {
    const run = await authenticate({ ...base, again: 1, server: { alwaysAskIdentity: true } });
    assert.ok(run.succeeded, run.output);
    assert.deepEqual(summary(run), [prefix, reauth]);
  });

  test(`eapol_test with ${eap}: protected result indications after full and fast authentication`, async () => {
    const run = await authenticate({
      ...base,
      again: 1,
      phase1: "result_ind=1",
      server: { resultIndications: true },
    });
    assert.ok(run.succeeded, run.output);
    assert.deepEqual(summary(run), [prefix, reauth]);
  });

  test(`eapol_test with ${eap}: a USIM that is ahead is caught up with by AUTS`, async () => {
    const run = await authenticate({ ...base, seq: 100_000 });
    assert.ok(run.succeeded, run.output);
    assert.equal(run.operator.vectors, 2);
    assert.ok(run.operator.counter.seq > 100_000);
  });

  test(`eapol_test with ${eap}: a USIM with another key rejects our challenge`, async () => {
    const run = await authenticate({ ...base, k: Buffer.alloc(16, 1) });
    assert.ok(!run.succeeded);
    assert.deepEqual(summary(run), ["AuthenticationRejected"]);
  });

  test(`eapol_test with ${eap}: a denial after authentication is understood as our notification`, async () => {
    const run = await authenticate({ ...base, authorization: "notSubscribed", server: { authorize: true } });
    assert.deepEqual(summary(run), ["NotSubscribed"]);
    assert.match(run.output, /Failure notification: User has not subscribed/);
  });
}

test("eapol_test that knows EAP-AKA only refuses EAP-AKA' by Nak and takes EAP-AKA", async () => {
  const run = await authenticate({ variants: [AKA_PRIME, AKA], server: { prefersAkaPrime: true } });
  assert.ok(run.succeeded, run.output);
  assert.deepEqual(summary(run), ["0"]);
});

test("eapol_test that knows both rejects an offer of EAP-AKA with AT_BIDDING", async () => {
  const run = await authenticate({ eap: "AKA AKA'", server: { prefersAkaPrime: true } });
  assert.ok(!run.succeeded);
  assert.deepEqual(summary(run), ["AuthenticationRejected"]);
  assert.match(run.output, /Bidding down from AKA' to AKA detected/);
});
