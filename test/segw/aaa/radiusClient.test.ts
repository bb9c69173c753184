/** What the gateway's operator hears of RADIUS servers, and of the packets on their way (RFC 2865, RFC 3579). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { eapMessage } from "../../../src/radius/codec/eapMessage.ts";
import { Code } from "../../../src/radius/codec/numbers.ts";
import { RadiusListener, type RadiusListenerOptions } from "../../../src/radius/transport/listener.ts";
import type { AaaSession } from "../../../src/segw/aaa/client.ts";
import { RadiusAaaClient } from "../../../src/segw/aaa/radiusClient.ts";
import { systemEnvironment } from "../../../src/sim/system.ts";

const SECRET = Buffer.from("a secret of the test");
const SUCCESS = Buffer.from("03010004", "hex");
const accept: RadiusListenerOptions["onRequest"] = (_request, answer) =>
  answer({ code: Code.AccessAccept, attributes: eapMessage(SUCCESS), msk: Buffer.alloc(64, 7) });

async function server(ends: AsyncDisposableStack, secret = SECRET, port = 0): Promise<RadiusListener> {
  const listener = await RadiusListener.start({
    ...systemEnvironment,
    clients: [{ name: "segw", by: { kind: "address", block: "127.0.0.1", secret } }],
    udp: [{ address: "127.0.0.1", port, purpose: "authentication" }],
    radsec: [],
    onRequest: accept,
    onDrop: () => {},
  });
  ends.defer(() => listener.close());
  return listener;
}

async function client(ends: AsyncDisposableStack, ports: readonly number[]) {
  const heard: string[] = [];
  const messages: string[] = [];
  const servers = ports.map((port, index) => {
    return { name: `aaa-${index}`, transport: "udp", address: "127.0.0.1", port, secret: SECRET } as const;
  });
  const { clock, random } = systemEnvironment;
  const timers = { first: 30, attempts: 2, deadTime: 1 };
  const made = await RadiusAaaClient.start(
    {
      gateway: "segw.example",
      addresses: [],
      authentication: { clock, random, servers, timers },
      accounting: undefined,
      dynamicAuthorization: undefined,
    },
    {
      onDetach: () => false,
      onReauthorize: () => false,
      sessionOf: () => undefined,
      onChange: () => "UnknownSession",
      onUp: (name) => heard.push(`up ${name}`),
      onProblem: (problem) => heard.push(problem),
      onMessage: ({ text }) => messages.push(text),
    },
  );
  ends.defer(() => made.close());
  heard.length = 0;
  return { made, heard, messages };
}

const session = (): AaaSession => ({
  id: "segw.example;1",
  device: "ap-1.example",
  party: "party@example",
  user: undefined,
  from: "192.0.2.7",
  addresses: [],
  context: {},
});

test("a server that does not answer is told, and again when it is back", async () => {
  await using ends = new AsyncDisposableStack();
  const gone = await server(ends);
  const [port] = gone.ports().udp;
  await gone.close();
  const { made, heard } = await client(ends, [port!]);
  const failed = await made.authorize(session());
  assert.equal(failed.kind === "refused" && failed.refusal.reason, "AaaUnreachable");
  assert.deepEqual(heard.splice(0), ["RADIUS: aaa-0 does not answer; others are asked before it for a while"]);
  await server(ends, SECRET, port!);
  assert.equal((await made.authorize(session())).kind, "accepted");
  assert.deepEqual(heard, ["up aaa-0"]);
});

test("a packet that passed is told with the kind of its EAP, and nothing secret", async () => {
  await using ends = new AsyncDisposableStack();
  const listener = await server(ends);
  const { made, messages } = await client(ends, listener.ports().udp);
  await made.eap(session(), undefined);
  assert.equal(messages.length, 2);
  assert.match(messages[0]!, /^sent Access-Request \d+ to aaa-0: .*EAP-Message\(response Identity\)$/);
  assert.match(
    messages[1]!,
    /^received Access-Accept \d+ from aaa-0: .*MS-MPPE-Recv-Key\(50 octets\).*EAP-Message\(success\)$/,
  );
});

test("an answer under another secret is told as such", async () => {
  await using ends = new AsyncDisposableStack();
  const { createSocket } = await import("node:dgram");
  const forger = createSocket("udp4");
  ends.defer(async () => void forger.close());
  await new Promise<void>((resolve) => forger.bind(0, "127.0.0.1", resolve));
  // An answer to that request, whose authenticators are of nobody's secret.
  forger.on("message", (bytes, { port, address }) => {
    forger.send(Buffer.concat([Buffer.from([Code.AccessReject, bytes[1]!, 0, 20]), Buffer.alloc(16)]), port, address);
  });
  const { made, heard } = await client(ends, [forger.address().port]);
  await made.authorize(session());
  assert.equal(heard[0], "RADIUS: an answer from aaa-0 is dropped (WrongAuthenticator): check the secret");
});
