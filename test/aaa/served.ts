/** The AAA server as it is run, from a configuration in a folder of its own; gateways that speak to it over the wire. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { type RunningAaa, serveAaa } from "../../src/aaa/serve.ts";
import { DiameterEap, makeRequest, readAnswer } from "../../src/diameter/codec/commands.ts";
import type { DiameterMessage } from "../../src/diameter/codec/message.ts";
import { Application, VENDOR_3GPP } from "../../src/diameter/codec/numbers.ts";
import type { NodeEvent } from "../../src/diameter/node/effects.ts";
import { DiameterService, type DiameterServiceOptions } from "../../src/diameter/transport/service.ts";
import { eapMessage, eapOf } from "../../src/radius/codec/eapMessage.ts";
import { Code } from "../../src/radius/codec/numbers.ts";
import { type Attribute, attribute, attributeOf } from "../../src/radius/codec/packet.ts";
import type { RadiusReply, RadiusRequester } from "../../src/radius/transport/requester.ts";
import { systemEnvironment } from "../../src/sim/system.ts";
import type { HostingParty } from "./made.ts";

export const REAL = { clock: systemEnvironment.clock, random: systemEnvironment.random };
export const SECRET = "a secret that both know";
const EMPTY = Buffer.alloc(0);

/** A folder with a configuration and its secrets; removed with the stack. */
export class Place {
  readonly folder: string;
  readonly file: string;

  constructor(ends: AsyncDisposableStack, configuration: object, secrets: Record<string, string> = {}) {
    this.folder = mkdtempSync(join(tmpdir(), "femtogate-aaa-"));
    ends.defer(async () => rmSync(this.folder, { recursive: true, force: true }));
    mkdirSync(this.folder, { recursive: true });
    this.file = join(this.folder, "aaa.yaml");
    writeFileSync(this.file, stringify(configuration));
    for (const [name, text] of Object.entries({ secret: SECRET, ...secrets }))
      writeFileSync(join(this.folder, name), text);
  }

  /** `onLine` gets each line of the log. */
  async serve(ends: AsyncDisposableStack, onLine: (line: string) => void = () => {}): Promise<RunningAaa> {
    const running = await serveAaa(this.file, REAL, onLine);
    ends.defer(() => running.stop());
    return running;
  }
}

/** The provisioning interface as its client sees it. */
export function provisioning(port: number, token = SECRET) {
  return async (method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === "" ? undefined : JSON.parse(text) };
  };
}

/** A gateway's Diameter node, connected to one server. */
export async function diameterGateway(
  ends: AsyncDisposableStack,
  port: number,
  more: Partial<DiameterServiceOptions> & { host?: string; server?: string; originStateId?: number } = {},
): Promise<DiameterService> {
  const { host = "segw.example", server = "aaa.example", originStateId = 1, ...options } = more;
  let up = () => {};
  const connected = new Promise<void>((resolve) => {
    up = resolve;
  });
  const service = await DiameterService.start({
    ...REAL,
    identity: { host, realm: "example", addresses: ["127.0.0.1"], product: "Femtogate", vendor: 0, originStateId },
    spoken: [
      { id: Application.SWm, vendor: VENDOR_3GPP, accounting: false },
      { id: Application.SWx, vendor: VENDOR_3GPP, accounting: false },
      { id: Application.baseAccounting, vendor: 0, accounting: true },
    ],
    peers: [{ host: server, realm: "example", connect: true, priority: 0 }],
    listen: [],
    endpoints: new Map([[server, { address: "127.0.0.1", port, tls: options.tls !== undefined }]]),
    onRequest: () => {},
    ...options,
    onEvent: (event: NodeEvent) => {
      if (event.kind === "peerUp") up();
      options.onEvent?.(event);
    },
  });
  ends.defer(() => service.close());
  await connected;
  return service;
}

/** What every request of a session says. */
export function swm(session: string) {
  return {
    "Session-Id": session,
    "Auth-Application-Id": Application.SWm,
    "Origin-Host": "segw.example",
    "Origin-Realm": "example",
    "Destination-Realm": "example",
  };
}

export const SWM_REALM = { application: Application.SWm, realm: "example" };

/** EAP through Diameter to its end; gives the last DEA. */
export async function authenticateByDiameter(
  service: DiameterService,
  party: HostingParty,
  session: string,
  device: string,
  host: string | undefined = "aaa.example",
) {
  const ask = async (payload: Buffer, user: string | undefined) => {
    const request: DiameterMessage = makeRequest(DiameterEap, Application.SWm, service.node.newEndToEnd(), {
      ...swm(session),
      "Auth-Request-Type": 3,
      "EAP-Payload": payload,
      "Calling-Station-Id": device,
      ...(user === undefined ? {} : { "User-Name": user }),
      ...(host === undefined ? {} : { "Destination-Host": host }),
    });
    return readAnswer(DiameterEap, (await service.request(request, { ...SWM_REALM, host })).message);
  };
  let answer = await ask(EMPTY, party.begin());
  for (let round = 0; round < 10 && answer.outcome.code === 1001; round++) {
    const response = party.receive(answer.values["EAP-Payload"]!);
    if (response === undefined) break;
    answer = await ask(response, undefined);
  }
  const last = answer.values["EAP-Payload"];
  if (last !== undefined && answer.outcome.code !== 1001) party.receive(last);
  return answer;
}

/**
 * EAP through RADIUS to its end; gives the last reply. `start` is how a gateway begins: by EAP-Start, or by the identity
 * response that it makes itself, since FreeRADIUS as a proxy loses the empty EAP-Message of an EAP-Start.
 */
export async function authenticateByRadius(
  requester: RadiusRequester,
  party: HostingParty,
  attributes: readonly Attribute[],
  firstState?: Buffer,
  start: "empty" | "identity" = "empty",
): Promise<RadiusReply> {
  const identity = party.begin();
  const user = attribute("User-Name", identity);
  const response = Buffer.concat([Buffer.from([2, 0, 0, 5 + identity.length, 1]), Buffer.from(identity)]);
  const stateOf = (state: Buffer | undefined) => (state === undefined ? [] : [attribute("State", state)]);
  const ask = (payload: Buffer, state: Buffer | undefined) =>
    requester.request(Code.AccessRequest, [user, ...attributes, ...stateOf(state), ...eapMessage(payload)]);
  let reply = await ask(start === "empty" ? EMPTY : response, firstState);
  for (let round = 0; round < 10 && reply.packet.code === Code.AccessChallenge; round++) {
    const next = party.receive(eapOf(reply.packet)!);
    if (next === undefined) break;
    reply = await ask(next, attributeOf(reply.packet, "State"));
  }
  const last = eapOf(reply.packet);
  if (last !== undefined && reply.packet.code !== Code.AccessChallenge) party.receive(last);
  return reply;
}
