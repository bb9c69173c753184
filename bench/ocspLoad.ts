/**
 * Clients of an OCSP responder, as many as it can bear: a process of its own, so that its work is not the responder's.
 *
 *   node bench/ocspLoad.ts < JSON of OcspLoad     prints JSON of OcspLoadResult
 *
 * Bare sockets, a request at a time on each: an HTTP client would take as long as the responder does.
 */
import { randomFillSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "node:net";

export interface OcspLoad {
  port: number;
  connections: number;
  /** Whether a connection serves one request after the other, or one alone. */
  keepAlive: boolean;
  /** Whole HTTP requests in base64, asked in turn. */
  requests: readonly string[];
  /** Where in each request a nonce of 32 octets is, new each time; absent where there is none. */
  nonceAt?: number;
  warmUpMs: number;
  measureMs: number;
}

export interface OcspLoadResult {
  /** Answers within the measured time, each of status 200 and a successful OCSPResponse. */
  answers: number;
  ms: number;
}

const load: OcspLoad = JSON.parse(readFileSync(0, "utf8"));
const requests = load.requests.map((text) => Buffer.from(text, "base64"));
let asked = 0;
let answers = 0;
let ended = false;

for (let i = 0; i < load.connections; i++) open();
// The parent reads the process's usage at these two lines.
await new Promise((resolve) => setTimeout(resolve, load.warmUpMs));
const begin = performance.now();
answers = 0;
console.log("measuring");
await new Promise((resolve) => setTimeout(resolve, load.measureMs));
const result: OcspLoadResult = { answers, ms: performance.now() - begin };
console.log(JSON.stringify(result));
// Those on their way are let come to their end: a responder that is hung up on may die of it, as openssl's does.
ended = true;
setTimeout(() => process.exit(), 5_000).unref();

function open(): void {
  const socket = connect({ port: load.port, host: "127.0.0.1", noDelay: true });
  const own = Buffer.from(requests[0]!);
  let received: Buffer | undefined;
  const ask = () => {
    const next = requests[asked++ % requests.length]!;
    if (load.nonceAt === undefined) return void socket.write(next);
    const request = next.length === own.length ? own : Buffer.from(next);
    next.copy(request);
    randomFillSync(request, load.nonceAt, 32);
    socket.write(request);
  };
  socket.once("connect", ask);
  socket.on("data", (part: Buffer) => {
    received = received === undefined ? part : Buffer.concat([received, part]);
    if (!isWhole(received)) return;
    received = undefined;
    answers++;
    if (load.keepAlive && !ended) ask();
    else socket.end();
  });
  socket.once("close", () => {
    if (!ended) open();
  });
  socket.on("error", (error) => {
    if (!ended) throw error;
  });
}

/** True once all of an answer is there; throws for one that is no good. */
function isWhole(received: Buffer): boolean {
  const end = received.indexOf("\r\n\r\n");
  if (end < 0) return false;
  const head = received.toString("latin1", 0, end);
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1]);
  if (!head.startsWith("HTTP/1.1 200 ") && !head.startsWith("HTTP/1.0 200 ")) throw new Error(head);
  const body = end + 4;
  if (received.length < body + length) return false;
  // SEQUENCE of two octets' length, ENUMERATED successful.
  if (received.readUIntBE(body + 4, 3) !== 0x0a0100) throw new Error("no successful OCSPResponse");
  return true;
}
