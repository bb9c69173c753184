/** Whose certificate is watched, as peers come and go. */
import assert from "node:assert/strict";
import test from "node:test";
import { PeerStatus } from "../../src/revocation/peerStatus.ts";
import type { Lost, Watch } from "../../src/revocation/statusService.ts";
import type { StatusVerdict } from "../../src/trust/statusAnswer.ts";

const REFUSAL = {
  reason: "NoStatusSource",
  subject: "CN=ap",
  serial: "01",
  method: "ocsp",
  attempts: [],
  graceEnded: undefined,
} as const;
const GOOD: StatusVerdict = { accepted: true, reliableUntil: undefined, certificates: [] };
const REFUSED: StatusVerdict = { accepted: false, certificates: [], refusal: REFUSAL };

function scene() {
  const verdicts = Promise.withResolvers<StatusVerdict>();
  const watched: Watch[] = [];
  let closed = 0;
  let tell: (lost: Lost) => void = () => undefined;
  const lost: string[] = [];
  const status = new PeerStatus<string>({
    source: {
      check: () => verdicts.promise,
      watch: () => {
        const watch: Watch = { path: [], peerClass: "device", close: () => void closed++ };
        watched.push(watch);
        return watch;
      },
      onRevoked: (listener) => {
        tell = listener;
        return () => undefined;
      },
    },
    peerClass: "device",
    onLost: (owner) => lost.push(owner),
  });
  return { status, verdicts, watched, lost, closed: () => closed, tell: (one: Lost) => tell(one) };
}

test("a peer that is there is watched under its newest name until it goes", async () => {
  const { status, verdicts, watched, lost, closed, tell } = scene();
  verdicts.resolve(GOOD);
  assert.equal(await status.check("a", []), "not checked");
  status.attached("a");
  status.transfer("a", "b");
  status.gone("a");
  assert.equal(closed(), 0);
  tell({ watch: watched[0]!, refusal: REFUSAL, verdict: REFUSED });
  assert.deepEqual(lost, ["b"]);
  status.gone("b");
  assert.equal(watched.length, 1);
});

test("a peer that goes while its status is asked for leaves nothing, and neither does one that is refused", async () => {
  const gone = scene();
  const asked = gone.status.check("a", []);
  gone.status.gone("a");
  gone.verdicts.resolve(GOOD);
  await asked;
  gone.status.attached("a");
  assert.equal(gone.watched.length, 0);
  const refused = scene();
  refused.verdicts.resolve(REFUSED);
  assert.ok(typeof (await refused.status.check("a", [])) !== "string");
  refused.status.attached("a");
  assert.equal(refused.watched.length, 0);
});
