import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AMF_PLAIN, makeVector, readAuts } from "../../src/eap/authenticationVector.ts";
import { milenage } from "../../src/eap/milenage.ts";
import { UsimError } from "../../src/tre/usim.ts";
import { type CardChannel, UsimCard } from "../../src/tre/usimCard.ts";
import { octets } from "../eap/arbitrary.ts";
import { USIM } from "./usimFolder.ts";
import { type CardSettings, VirtualCard } from "./virtualCard.ts";

const FUNCTIONS = milenage(Buffer.from(USIM.k, "hex"), Buffer.from(USIM.opc, "hex"));
const RAND = Buffer.alloc(16, 7);
const vector = (seq: number) => makeVector(FUNCTIONS, RAND, seq * 32 + 1, AMF_PLAIN);
const refused = (reason: UsimError["reason"]) => (error: unknown) =>
  error instanceof UsimError && error.reason === reason;

function cardIn(settings: Partial<CardSettings> = {}): CardChannel & { commands: Buffer[] } {
  const full: CardSettings = { ...USIM, mncDigits: 2, protocol: "T=0", pin: undefined, seq: 0, ...settings };
  const card = new VirtualCard(full);
  const commands: Buffer[] = [];
  return {
    commands,
    protocol: full.protocol,
    async transmit(command) {
      commands.push(command);
      return card.transmit(command);
    },
  };
}

for (const protocol of ["T=0", "T=1"] as const) {
  test(`${protocol}: a card says who its subscriber is and answers a challenge`, async () => {
    const usim = await UsimCard.open(cardIn({ protocol }), undefined);
    assert.deepEqual(await usim.subscriber(), { imsi: USIM.imsi, mncDigits: 2 });
    const { autn, xres, ck, ik } = vector(1);
    assert.deepEqual(await usim.authenticate(RAND, autn), { kind: "authenticated", res: xres, ck, ik });
  });

  test(`${protocol}: a SQN that the card has seen draws AUTS, a wrong MAC a MAC failure`, async () => {
    const usim = await UsimCard.open(cardIn({ protocol, seq: 50 }), undefined);
    const answer = await usim.authenticate(RAND, vector(50).autn);
    assert.ok(answer.kind === "syncFailure");
    assert.equal(readAuts(FUNCTIONS, RAND, answer.auts), 50 * 32);
    assert.deepEqual(await usim.authenticate(RAND, Buffer.alloc(16)), { kind: "macFailure" });
  });

  test(`${protocol}: Le goes with parameters under T=1 only`, async () => {
    const channel = cardIn({ protocol });
    const usim = await UsimCard.open(channel, undefined);
    await usim.authenticate(RAND, vector(1).autn);
    const command = channel.commands.find((one) => one[1] === 0x88)!;
    assert.equal(command.length, protocol === "T=1" ? 5 + 34 + 1 : 5 + 34);
  });
}

test("an IMSI of any length and an MNC of three digits are read", async () => {
  for (const imsi of ["310150123456789", "31015012345678", "310150"]) {
    const usim = await UsimCard.open(cardIn({ imsi, mncDigits: 3 }), undefined);
    assert.deepEqual(await usim.subscriber(), { imsi, mncDigits: 3 });
  }
});

test("a card that asks for its PIN gets it once, and a wrong one is not tried again", async () => {
  await UsimCard.open(cardIn({ pin: "1234" }), "1234");
  await assert.rejects(UsimCard.open(cardIn({ pin: "1234" }), undefined), refused("PinNeeded"));
  await assert.rejects(UsimCard.open(cardIn({ pin: "1234" }), "12"), refused("PinWrong"));
  const channel = cardIn({ pin: "1234" });
  await assert.rejects(UsimCard.open(channel, "9999"), /allows 2 more tries/);
  assert.equal(channel.commands.filter((command) => command[1] === 0x20).length, 1);
});

test("a card whose PIN is off is not shown one", async () => {
  const channel = cardIn();
  await UsimCard.open(channel, "1234");
  assert.ok(!channel.commands.some((command) => command[1] === 0x20));
});

test("a card without a USIM application is told apart", async () => {
  const empty: CardChannel = {
    protocol: "T=1",
    transmit: async (command) => Buffer.from(command[1] === 0xa4 ? "9000" : "6a83", "hex"),
  };
  await assert.rejects(UsimCard.open(empty, undefined), refused("NoUsim"));
});

test("RAND and AUTN of another length than 16 never reach the card", async () => {
  const channel = cardIn();
  const usim = await UsimCard.open(channel, undefined);
  const before = channel.commands.length;
  assert.throws(() => usim.authenticate(Buffer.alloc(15), Buffer.alloc(16)), RangeError);
  assert.throws(() => usim.authenticate(Buffer.alloc(16), Buffer.alloc(17)), RangeError);
  assert.equal(channel.commands.length, before);
});

test("whatever a card answers, the outcome is a UsimError or an answer of the right lengths", async () => {
  const answer = fc.oneof(
    octets(0, 70),
    octets(0, 60).map((body) => Buffer.concat([body, Buffer.from("9000", "hex")])),
    fc.constantFrom("6100", "6120", "6c10", "9862", "9000").map((text) => Buffer.from(text, "hex")),
    octets(0, 60).map((body) => Buffer.concat([Buffer.from([0xdb, 8]), body, Buffer.from("9000", "hex")])),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(answer, { minLength: 1, maxLength: 20 }), fc.nat({ max: 12 }), async (answers, good) => {
      const channel = cardIn();
      let asked = 0;
      let strange = 0;
      const hostile: CardChannel = {
        protocol: "T=0",
        transmit: async (command) =>
          asked++ < good ? channel.transmit(command) : answers[strange++ % answers.length]!,
      };
      try {
        const usim = await UsimCard.open(hostile, undefined);
        const result = await usim.authenticate(RAND, vector(1).autn);
        if (result.kind === "authenticated")
          assert.deepEqual([result.res.length >= 4, result.ck.length, result.ik.length], [true, 16, 16]);
      } catch (error) {
        assert.ok(error instanceof UsimError, String(error));
      }
      assert.ok(strange < 200, "the card keeps us busy");
    }),
    { numRuns: 1000 },
  );
});
