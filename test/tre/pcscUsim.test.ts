/** The USIM in a card reader, through pcscd: the reader and the card are virtual, all between is real. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { AMF_PLAIN, makeVector } from "../../src/eap/authenticationVector.ts";
import { milenage } from "../../src/eap/milenage.ts";
import { PcscUsim } from "../../src/tre/pcscUsim.ts";
import { UsimError } from "../../src/tre/usim.ts";
import { CardReader, READER } from "./cardReader.ts";
import { USIM } from "./usimFolder.ts";
import type { CardSettings } from "./virtualCard.ts";

const FUNCTIONS = milenage(Buffer.from(USIM.k, "hex"), Buffer.from(USIM.opc, "hex"));
const RAND = Buffer.alloc(16, 7);
const CARD: CardSettings = { ...USIM, mncDigits: 3, protocol: "T=0", pin: "1234", seq: 0 };
const vector = (seq: number) => makeVector(FUNCTIONS, RAND, seq * 32 + 1, AMF_PLAIN);
const refused = (reason: UsimError["reason"]) => (error: unknown) =>
  error instanceof UsimError && error.reason === reason;

let reader: CardReader;
before(async () => {
  reader = await CardReader.start();
  process.env.PCSCLITE_CSOCK_NAME = reader.socketName;
});
after(() => reader[Symbol.asyncDispose]());

test("a reader without a card, and a reader that is not there, are told apart", async () => {
  await assert.rejects(new PcscUsim(READER, undefined).subscriber(), refused("NoCard"));
  await assert.rejects(new PcscUsim("Nobody's reader", undefined).subscriber(), /no card reader is called/);
  await assert.rejects(new PcscUsim(undefined, undefined).subscriber(), /name the card reader.*Virtual PCD 00 01/);
});

for (const protocol of ["T=0", "T=1"] as const) {
  test(`${protocol}: a USIM in a reader answers, is taken out, and answers again when it is back`, async () => {
    await reader.insert({ ...CARD, protocol });
    const usim = new PcscUsim(`${READER} 00 00`, "1234");
    assert.deepEqual(await usim.subscriber(), { imsi: USIM.imsi, mncDigits: 3 });
    const { autn, xres, ck, ik } = vector(1);
    assert.deepEqual(await usim.authenticate(RAND, autn), { kind: "authenticated", res: xres, ck, ik });
    assert.equal((await usim.authenticate(RAND, autn)).kind, "syncFailure");
    assert.deepEqual(await usim.authenticate(RAND, Buffer.alloc(16)), { kind: "macFailure" });
    await reader.remove();
    await assert.rejects(usim.authenticate(RAND, autn), refused("NoCard"));
    await reader.insert({ ...CARD, protocol });
    assert.equal((await usim.authenticate(RAND, vector(2).autn)).kind, "authenticated");
    await usim.close();
    await reader.remove();
  });
}

test("the card is held for us alone, and given back", async () => {
  await reader.insert(CARD);
  const [first, second] = [new PcscUsim(READER, "1234"), new PcscUsim(READER, "1234")];
  await first.subscriber();
  await assert.rejects(second.subscriber(), /another program holds the card/);
  await first.close();
  assert.equal((await second.subscriber()).imsi, USIM.imsi);
  await second.close();
  await reader.remove();
});

test("a wrong PIN is shown once, however often the card is asked for", async () => {
  await reader.insert(CARD);
  const usim = new PcscUsim(READER, "9999");
  await assert.rejects(usim.subscriber(), /allows 2 more tries/);
  await assert.rejects(usim.subscriber(), /allows 2 more tries/);
  await usim.close();
  const right = new PcscUsim(READER, "1234");
  await right.subscriber();
  await right.close();
  await reader.remove();
});
