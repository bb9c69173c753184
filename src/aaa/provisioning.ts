/**
 * Provisioning and operation by HTTP: subscribers, devices, bindings, sessions.
 *
 * On the bounded server over node:http that the PKI uses, not fastify: these are ten routes for one trusted client, zod
 * already checks what comes in, and what a framework adds would be a dependency on the machine that holds all keys.
 * Every request bears a token; keys go in and never come out.
 */
import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { z } from "zod";
import { sameSecret } from "../bytes/bytes.ts";
import { ipAddress } from "../config/fields.ts";
import { type BoundedServer, type Listen, listenBounded, readBody } from "../http/boundedServer.ts";
import { AUTHENTICATIONS, DeviceError, type Devices, VERDICTS } from "./devices.ts";
import { ALGORITHMS, SubscriberError, type Subscribers } from "./hss/subscribers.ts";
import type { AaaServer } from "./server.ts";
import type { Session } from "./sessions.ts";

export interface ProvisioningOptions {
  listen: Listen;
  token: string;
  /** Undefined where the HSS is another's. */
  subscribers: Subscribers | undefined;
  devices: Devices;
  aaa: AaaServer;
  /** A subscriber is gone or barred: whoever serves it is to hear. */
  onSubscriberGone(imsi: string): void;
}

interface Reply {
  status: number;
  body?: unknown;
}

type Route = (options: ProvisioningOptions, name: string, body: unknown) => Promise<Reply>;

export function serveProvisioning(options: ProvisioningOptions): Promise<BoundedServer> {
  const token = digest(options.token);
  return listenBounded(options.listen, async (request, response) => {
    const bearer = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1] ?? "";
    if (!sameSecret(digest(bearer), token)) return send(response, { status: 401, body: { error: "bear the token" } });
    send(response, await handle(options, request));
  });
}

async function handle(options: ProvisioningOptions, request: IncomingMessage): Promise<Reply> {
  const { pathname } = new URL(request.url ?? "/", "http://localhost");
  const [, collection = "", ...rest] = pathname.split("/");
  const route = ROUTES[`${request.method} /${collection}${rest.length > 0 ? "/*" : ""}`];
  if (route === undefined)
    return { status: 404, body: { error: `no such thing; there are ${Object.keys(ROUTES).join(", ")}` } };
  const octets = await readBody(request, MAX_BODY);
  if (octets === undefined) return { status: 413, body: { error: `a request has at most ${MAX_BODY} octets` } };
  try {
    const body: unknown = octets.length === 0 ? undefined : JSON.parse(octets.toString("utf8"));
    return await route(options, decodeURIComponent(rest.join("/")), body);
  } catch (error) {
    if (
      error instanceof SubscriberError ||
      error instanceof DeviceError ||
      error instanceof SyntaxError ||
      error instanceof URIError
    )
      return { status: 400, body: { error: error.message } };
    if (error instanceof z.ZodError) return { status: 400, body: { error: z.prettifyError(error) } };
    throw error;
  }
}

const profileFields = {
  address: ipAddress.optional(),
  filter: z.string().min(1).max(250).optional(),
  sessionTimeout: z.number().int().min(1).optional(),
};
const hex = (...octets: number[]) =>
  z
    .string()
    .regex(/^([0-9a-f]{2})+$/i, { error: "is no hexadecimal" })
    .transform((digits) => Buffer.from(digits, "hex"))
    .refine(({ length }) => octets.includes(length), { error: `has not ${octets.join(" or ")} octets` });
const newSubscriber = z.strictObject({
  imsi: z.string(),
  algorithm: z.enum(ALGORITHMS).default("milenage"),
  k: hex(16, 32),
  opc: hex(16, 32),
  seq: z.number().int().min(0).optional(),
  ...profileFields,
});
const deviceEntry = z.strictObject({
  verdict: z.enum(VERDICTS).default("allow"),
  authentication: z.enum(AUTHENTICATIONS).default("either"),
  location: z.string().optional(),
  ...profileFields,
});
const binding = z.strictObject({ imsi: z.string().min(1), device: z.string().min(1) });

const ROUTES: Record<string, Route> = {
  "GET /subscribers": async ({ subscribers }) => ({ status: 200, body: await hssOf(subscribers).list() }),
  "POST /subscribers": async ({ subscribers }, _name, body) => {
    const subscriber = newSubscriber.parse(body);
    await hssOf(subscribers).add(subscriber);
    return { status: 201, body: { imsi: subscriber.imsi } };
  },
  "PUT /subscribers/*": async ({ subscribers, onSubscriberGone }, imsi, body) => {
    const { barred } = z.strictObject({ barred: z.boolean() }).parse(body);
    const found = await hssOf(subscribers).setBarred(imsi, barred);
    if (found && barred) onSubscriberGone(imsi);
    return found ? { status: 204 } : MISSING;
  },
  "DELETE /subscribers/*": async ({ subscribers, onSubscriberGone }, imsi) => {
    if (!(await hssOf(subscribers).remove(imsi))) return MISSING;
    onSubscriberGone(imsi);
    return { status: 204 };
  },
  "GET /devices": async ({ devices }) => ({ status: 200, body: await devices.list() }),
  "PUT /devices/*": async ({ devices }, identity, body) => {
    await devices.put({ identity, ...deviceEntry.parse(body ?? {}) });
    return { status: 204 };
  },
  "DELETE /devices/*": async ({ devices }, identity) => ((await devices.remove(identity)) ? { status: 204 } : MISSING),
  "GET /bindings": async ({ devices }) => ({ status: 200, body: await devices.bindings() }),
  "POST /bindings": async ({ devices }, _name, body) => {
    const { imsi, device } = binding.parse(body);
    await devices.bind(imsi, device);
    return { status: 204 };
  },
  "DELETE /bindings/*": async ({ devices }, name) => {
    const [imsi = "", device = ""] = name.split("/");
    return (await devices.unbind(imsi, device)) ? { status: 204 } : MISSING;
  },
  "GET /sessions": async ({ aaa }) => ({ status: 200, body: [...aaa.sessions.all()].slice(0, MAX_LISTED).map(shown) }),
  // Forced detach: by session, device or IMSI.
  "DELETE /sessions/*": async ({ aaa }, name) => {
    const meant = [...aaa.sessions.all()].filter(({ id, device, subscriber }) =>
      [id, device, subscriber].includes(name),
    );
    const done = await Promise.all(meant.map((session) => aaa.detach(session, "administrative")));
    return meant.length === 0
      ? MISSING
      : { status: 200, body: { detached: done.filter(Boolean).length, asked: done.length } };
  },
  "POST /sessions/*": async ({ aaa }, name) => {
    const session = aaa.sessions.get(name);
    if (session === undefined) return MISSING;
    return { status: 200, body: { reauthorized: await aaa.reauthorize(session) } };
  },
};

function hssOf(subscribers: Subscribers | undefined): Subscribers {
  if (subscribers === undefined) throw new SubscriberError("the HSS is another's: provision subscribers there");
  return subscribers;
}

function shown({ id, gateway, device, subscriber, since, expires }: Session) {
  return { id, gateway: gateway.name, device, subscriber, since, expires };
}

function send(response: ServerResponse, { status, body }: Reply): void {
  const text = body === undefined ? "" : `${JSON.stringify(body)}\n`;
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) });
  response.end(text);
}

/** Of one length, so that the comparison tells nothing of the token's. */
function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

const MISSING: Reply = { status: 404, body: { error: "there is none" } };
const MAX_BODY = 16_384;
const MAX_LISTED = 10_000;
