/**
 * The local interface of a running PKI, for an operator's provisioning system: JSON by HTTP over a Unix socket that only
 * the folder's owner may use. What it answers with 200 is on disk (TS 33.320 7.2.2-7: a revocation that was acknowledged
 * counts).
 *
 *   curl --unix-socket DIR/control.sock http://pki/revoke -d '{"serials": ["4f3e.."], "reason": "keyCompromise"}'
 *
 * The command line changes the same database itself; this one answers in a millisecond, takes many certificates in one
 * transaction, and needs no program started for each.
 */
import { chmodSync, rmSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { connect } from "node:net";
import { z } from "zod";
import { type BoundedServer, listenBounded, readBody } from "../http/boundedServer.ts";
import type { ListedDevice } from "./allowList.ts";
import { type Pki, REVOCATION_REASONS, type RevocationReason } from "./authority.ts";
import { PkiError } from "./error.ts";

/** Serves at a path of the file system until closed; throws PkiError if another process does so there. */
export async function serveControl(pki: Pki, path: string): Promise<BoundedServer> {
  if (Buffer.byteLength(path) > MAX_PATH)
    throw new PkiError(`${path} is too long for a socket's name; give a shorter one with --control`);
  if (await isServed(path)) throw new PkiError(`another process serves ${path}; give this one another with --control`);
  // What a process that died left behind.
  rmSync(path, { force: true });
  const server = await listenBounded({ path }, (request, response) => handle(pki, request, response));
  chmodSync(path, 0o600);
  return server;
}

async function handle(pki: Pki, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const name = (request.url ?? "/").slice(1);
  if (request.method !== "POST" || !Object.hasOwn(ACTIONS, name))
    return answer(response, 404, {
      error: `POST to one of ${Object.keys(ACTIONS)
        .map((one) => `/${one}`)
        .join(", ")}`,
    });
  const body = await readBody(request, MAX_BODY);
  if (body === undefined) return answer(response, 413, { error: `at most ${MAX_BODY} octets at once` });
  try {
    const given: unknown = JSON.parse(body.toString("utf8"));
    answer(response, 200, ACTIONS[name]!(pki, given));
  } catch (error) {
    if (error instanceof z.ZodError) return answer(response, 400, { error: z.prettifyError(error) });
    if (error instanceof SyntaxError) return answer(response, 400, { error: "this is no JSON" });
    if (error instanceof PkiError) return answer(response, 409, { error: error.message });
    throw error;
  }
}

const serial = z
  .string()
  .regex(/^([0-9a-f]{2}){1,32}$/i, { error: "must be the hexadecimal digits of a serial number" })
  .transform((text) => Buffer.from(text, "hex"));
const REASONS = Object.keys(REVOCATION_REASONS) as [RevocationReason, ...RevocationReason[]];
const revocation = z.strictObject({ serials: z.array(serial).min(1), reason: z.enum(REASONS).default("unspecified") });
const releasing = z.strictObject({ serial });
const listing = z
  .strictObject({ ca: z.string(), identities: z.array(z.string()).default([]), serials: z.array(serial).default([]) })
  .transform(({ ca, identities, serials }) => ({
    ca,
    devices: [
      ...identities.map((identity) => ({ identity })),
      ...serials.map((one) => ({ serial: one })),
    ] as ListedDevice[],
  }));

/** What can be asked for, by path; each checks what it is given and says what it did. */
const ACTIONS: Record<string, (pki: Pki, given: unknown) => object> = {
  revoke(pki, given) {
    const { serials, reason } = revocation.parse(given);
    pki.revoke(serials, reason);
    return { revoked: serials.length };
  },
  release(pki, given) {
    pki.release(releasing.parse(given).serial);
    return { released: 1 };
  },
  allow(pki, given) {
    const { ca, devices } = listing.parse(given);
    pki.allowList.allow(pki.authority(ca).name, devices);
    return { allowed: devices.length };
  },
  disallow(pki, given) {
    const { ca, devices } = listing.parse(given);
    pki.allowList.disallow(pki.authority(ca).name, devices);
    return { disallowed: devices.length };
  },
};

function answer(response: ServerResponse, status: number, content: object): void {
  response.writeHead(status, { "content-type": "application/json" }).end(`${JSON.stringify(content)}\n`);
}

function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** Octets of a request: some thousands of serial numbers. */
const MAX_BODY = 262_144;
/** Octets of a Unix socket's name on every system, its end included: 104. */
const MAX_PATH = 103;
