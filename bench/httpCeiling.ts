/** The least that an HTTP server in Node can do: it answers whatever is asked with the same octets. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const body = Buffer.from(process.argv[2] ?? "", "base64").toString("latin1");
const headers = ["Content-Type", "application/ocsp-response", "Content-Length", String(body.length)];
const server = createServer((request, response) => {
  request.resume();
  response.writeHead(200, headers).end(body, "latin1");
});
server.listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port));
