/** TCP in bulk: `receive ADDRESS PORT` prints what came, as octets and SHA-256; `send ADDRESS PORT OCTETS` what it sent. */
import { createHash } from "node:crypto";
import { createConnection, createServer } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { seededRandom } from "../../src/sim/random.ts";

const [mode, address, port, octets] = process.argv.slice(2);
const hash = createHash("sha256");
let total = 0;

function report(): void {
  process.stdout.write(`${JSON.stringify({ total, sha256: hash.digest("hex") })}\n`);
}

function count(chunk: Buffer): void {
  total += chunk.length;
  hash.update(chunk);
}

if (mode === "receive") {
  const server = createServer((socket) => {
    socket.on("data", count).on("end", () => {
      report();
      server.close();
    });
  });
  server.listen({ host: address!, port: Number(port) }, () => process.stdout.write("listening\n"));
} else {
  const block = seededRandom("bulk").bytes(65_536);
  await pipeline(
    Readable.from(
      (function* () {
        while (total < Number(octets)) {
          const chunk = block.subarray(0, Math.min(block.length, Number(octets) - total));
          count(chunk);
          yield chunk;
        }
      })(),
    ),
    createConnection({ host: address!, port: Number(port) }),
  );
  report();
}
