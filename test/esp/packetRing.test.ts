import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";
import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { PacketRing } from "../../src/esp/planes/packetRing.ts";

const SLOTS = 256;

/** Both ends of a ring, as two threads have them. */
function ends(slotLength = 8): { producer: PacketRing; consumer: PacketRing } {
  const producer = new PacketRing(slotLength);
  return { producer, consumer: new PacketRing(slotLength, producer.memory) };
}

function put(producer: PacketRing, text: string): void {
  const slot = producer.waitForSlot()!;
  producer.publish(slot.write(text));
}

function take(consumer: PacketRing): string | undefined {
  const packet = consumer.peek()?.toString();
  if (packet !== undefined) consumer.release();
  return packet;
}

describe("a ring of packets", () => {
  test("gives out what was put in, in order, as a plain queue does", () => {
    const commands = fc.array(fc.oneof(fc.constant("take"), fc.stringMatching(/^[a-z]{1,8}$/)), {
      maxLength: 600,
      size: "max",
    });
    fc.assert(
      fc.property(commands, (list) => {
        const { producer, consumer } = ends();
        const queue: string[] = [];
        for (const command of list) {
          if (command === "take") {
            assert.equal(take(consumer), queue.shift());
          } else if (!producer.full) {
            put(producer, command);
            queue.push(command);
          }
          assert.equal(producer.full, queue.length === SLOTS);
        }
        for (const packet of queue) assert.equal(take(consumer), packet);
        assert.equal(consumer.peek(), undefined);
      }),
      { numRuns: 50 },
    );
  });

  test("goes round many times without mixing packets up", () => {
    const { producer, consumer } = ends();
    for (let round = 0; round < 10; round++) {
      for (let i = 0; i < SLOTS; i++) put(producer, `${round}-${i}`);
      assert.equal(producer.full, true);
      for (let i = 0; i < SLOTS; i++) assert.equal(take(consumer), `${round}-${i}`);
      assert.equal(producer.full, false);
    }
  });

  test("keeps the oldest packet until it is released", () => {
    const { producer, consumer } = ends();
    put(producer, "a");
    put(producer, "b");
    assert.equal(consumer.peek()?.toString(), "a");
    assert.equal(consumer.peek()?.toString(), "a");
    consumer.release();
    assert.equal(consumer.peek()?.toString(), "b");
  });

  test("wakes the consumer once, and only for a packet that it sleeps over", () => {
    const { producer, consumer } = ends();
    assert.equal(producer.mustWake(), false, "there is nothing to wake for");
    put(producer, "a");
    assert.equal(producer.mustWake(), true, "the consumer has not begun");
    put(producer, "b");
    assert.equal(producer.mustWake(), false, "it is awake");
    assert.equal(consumer.sleep(), false, "packets wait, so it may not sleep");
    take(consumer);
    take(consumer);
    assert.equal(consumer.sleep(), true);
    assert.equal(producer.mustWake(), false);
    put(producer, "c");
    assert.equal(producer.mustWake(), true);
  });

  test("lets the consumer sleep if a message is under way that will wake it", () => {
    const { producer, consumer } = ends();
    assert.equal(consumer.sleep(), true);
    put(producer, "a");
    // Between the consumer's two steps the producer sees it asleep and sends the message: nothing is lost, nothing told twice.
    assert.equal(producer.mustWake(), true);
    assert.equal(producer.mustWake(), false);
    assert.equal(take(consumer), "a");
    assert.equal(consumer.sleep(), true);
  });

  test("gives no slot once it is closed, also to a producer that waits for one", { timeout: 60_000 }, async () => {
    const { producer, consumer } = ends();
    for (let i = 0; i < SLOTS; i++) put(producer, "x");
    const { outcome } = await waitingProducer(producer);
    consumer.close();
    assert.equal(await outcome, "waits, closed");
    assert.equal(producer.waitForSlot(), undefined);
  });

  test("hands a slot to a producer that waits for one as soon as one is released", { timeout: 60_000 }, async () => {
    const { producer, consumer } = ends();
    for (let i = 0; i < SLOTS; i++) put(producer, `${i}`);
    const { outcome } = await waitingProducer(producer);
    assert.equal(take(consumer), "0");
    assert.equal(await outcome, "waits, put");
    for (let i = 1; i < SLOTS; i++) assert.equal(take(consumer), `${i}`);
    assert.equal(take(consumer), "late");
  });
});

/** A producer in a thread of its own, about to wait for a slot, and what it will say became of that. */
async function waitingProducer({ memory }: PacketRing): Promise<{ outcome: Promise<string> }> {
  const module = new URL("../../src/esp/planes/packetRing.ts", import.meta.url).href;
  const thread = new Worker(
    `const { parentPort, workerData } = require("node:worker_threads");
     import(${JSON.stringify(module)}).then(({ PacketRing }) => {
       const ring = new PacketRing(8, workerData);
       parentPort.postMessage("waits");
       const slot = ring.waitForSlot();
       if (slot !== undefined) ring.publish(slot.write("late"));
       parentPort.postMessage(slot === undefined ? "closed" : "put");
     });`,
    { eval: true, workerData: memory },
  );
  const messages: string[] = [];
  thread.on("message", (message: string) => messages.push(message));
  const outcome = once(thread, "exit").then(() => messages.join(", "));
  await once(thread, "message");
  return { outcome };
}
