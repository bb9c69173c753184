/** hostapd as a RADIUS server with EAP-AKA and EAP-AKA', its vectors from the tests' operator; and our peer as its client. */
import { type ChildProcess, spawn } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AkaPeer, firstIdentity } from "../../../src/eap/aka/peer.ts";
import type { AkaPeerOptions, AkaPeerWorld } from "../../../src/eap/aka/peerTypes.ts";
import type { AkaVariant } from "../../../src/eap/aka/variant.ts";
import { AMF_SEPARATED, makeVector, readAuts } from "../../../src/eap/authenticationVector.ts";
import type { EapRefusal, EapResult } from "../../../src/eap/method.ts";
import { EapPeer, type PeerEffect } from "../../../src/eap/peer.ts";
import { nextSqn, resynchronized, SQN_DEFAULTS } from "../../../src/eap/sqn.ts";
import { sealRequest, verifyResponse } from "../../../src/radius/codec/authenticators.ts";
import { eapMessage, eapOf } from "../../../src/radius/codec/eapMessage.ts";
import { mskOf } from "../../../src/radius/codec/mppeKeys.ts";
import { Code } from "../../../src/radius/codec/numbers.ts";
import { attribute, attributeOf, decodePacket } from "../../../src/radius/codec/packet.ts";
import { seededRandom } from "../../../src/sim/random.ts";
import { type Device, IMSI, type Operator } from "../aka/conversation.ts";
import { peerOptions } from "../aka/options.ts";
import { bindUnixDatagram, type UnixDatagramSocket } from "./unixDatagram.ts";

const SECRET = "radius secret";

export interface HostapdSettings {
  /** Method in hostapd's eap_user file for each first digit. */
  methods: Readonly<Record<string, string>>;
  resultIndications?: boolean;
  /** eap_sim_id: 1 pseudonyms, 2 fast re-authentication. */
  identities?: number;
}

export class Hostapd implements AsyncDisposable {
  readonly port: number;
  readonly #folder: string;
  readonly #process: ChildProcess;
  readonly #vectors: UnixDatagramSocket;
  output = "";

  private constructor(port: number, folder: string, child: ChildProcess, vectors: UnixDatagramSocket) {
    this.port = port;
    this.#folder = folder;
    this.#process = child;
    this.#vectors = vectors;
  }

  static async start(operator: Operator, settings: HostapdSettings): Promise<Hostapd> {
    const folder = mkdtempSync(join(tmpdir(), "hostapd-"));
    const port = await freePort();
    const vectors = bindUnixDatagram(join(folder, "vectors.sock"), (message, from) => {
      vectors.send(Buffer.from(answer(operator, message.toString())), from);
    });
    const users = Object.entries(settings.methods).map(([digit, method]) => `"${digit}"* ${method}\n`);
    writeFileSync(join(folder, "users"), users.join(""));
    writeFileSync(join(folder, "clients"), `127.0.0.1/32 ${SECRET}\n`);
    writeFileSync(
      join(folder, "hostapd.conf"),
      `interface=none
driver=none
logger_stdout=-1
logger_stdout_level=0
radius_server_clients=${folder}/clients
radius_server_auth_port=${port}
eap_server=1
eap_user_file=${folder}/users
eap_sim_db=unix:${folder}/vectors.sock
eap_sim_id=${settings.identities ?? 3}
eap_sim_aka_result_ind=${settings.resultIndications === true ? 1 : 0}
`,
    );
    const child = spawn("hostapd", ["-dd", join(folder, "hostapd.conf")], { stdio: ["ignore", "pipe", "pipe"] });
    const hostapd = new Hostapd(port, folder, child, vectors);
    try {
      await hostapd.#enabled();
    } catch (error) {
      await hostapd[Symbol.asyncDispose]();
      throw error;
    }
    return hostapd;
  }

  #enabled(): Promise<void> {
    return new Promise((resolve, reject) => {
      const listen = (part: Buffer) => {
        this.output += part;
        if (this.output.includes("AP-ENABLED")) resolve();
      };
      this.#process.stdout?.on("data", listen);
      this.#process.stderr?.on("data", listen);
      this.#process.once("exit", () => reject(new Error(`hostapd ended: ${this.output}`)));
      this.#process.once("error", reject);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null && this.#process.pid !== undefined) {
      this.#process.kill();
      await once(this.#process, "exit");
    }
    await this.#vectors[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true });
  }
}

export interface Attempt {
  /** What our peer came to. */
  outcome: EapResult | EapRefusal;
  accepted: boolean;
  /** MSK as hostapd gives it to the RADIUS client. */
  msk: Buffer | undefined;
}

/** One authentication of our peer; packets go to hostapd as an access point would relay them. */
export async function authenticateAt(
  hostapd: Hostapd,
  device: Device,
  variants: readonly AkaVariant[],
  options: Partial<AkaPeerOptions> = {},
): Promise<Attempt> {
  const random = seededRandom(`peer ${device.asks}`);
  const optionsOf = (variant: AkaVariant) =>
    peerOptions(random, {
      remembered: device.remembered.get(variant.type) ?? { pseudonym: undefined, reauth: undefined },
      acceptsAkaPrime: variants.length > 1,
      ...options,
    });
  const identity = Buffer.from(firstIdentity(variants[0]!, optionsOf(variants[0]!)));
  const peer = new EapPeer<AkaPeerWorld>({
    identity,
    protectedBelow: true,
    methods: variants.map((variant) => ({
      type: variant.type,
      make: (said) => new AkaPeer(variant, optionsOf(variant), said),
    })),
  });
  const socket = createSocket("udp4");
  const state: { value: Buffer | undefined; id: number } = { value: undefined, id: 0 };
  /** Gives a packet to the peer and what it answers to hostapd, until the end. */
  const relay = async (packet: Buffer): Promise<Attempt> => {
    const effects = settle(peer, device, peer.receive(packet));
    const response = effects.find((effect) => effect.kind === "send");
    if (response?.kind !== "send") throw new Error(`the peer is silent: ${JSON.stringify(effects)}`);
    const authenticator = random.bytes(16);
    const attributes = [
      attribute("User-Name", identity.toString()),
      attribute("NAS-Identifier", "tests"),
      ...eapMessage(response.packet),
    ];
    if (state.value !== undefined) attributes.push(attribute("State", state.value));
    const request = sealRequest(Code.AccessRequest, state.id++, attributes, Buffer.from(SECRET), authenticator);
    const answered = once(socket, "message") as Promise<[Buffer]>;
    socket.send(request, hostapd.port, "127.0.0.1");
    const [bytes] = await answered;
    const problem = verifyResponse(bytes, authenticator, Buffer.from(SECRET));
    if (problem !== undefined) throw new Error(problem);
    const answer = decodePacket(bytes);
    state.value = attributeOf(answer, "State");
    const eap = Buffer.from(eapOf(answer)!);
    if (answer.code === Code.AccessChallenge) return relay(eap);
    const [end] = settle(peer, device, peer.receive(eap));
    if (end?.kind !== "succeeded" && end?.kind !== "failed") throw new Error(`no end: ${JSON.stringify(end)}`);
    return {
      outcome: end.kind === "succeeded" ? end.result : end.refusal,
      accepted: answer.code === Code.AccessAccept,
      msk: mskOf(answer, Buffer.from(SECRET), authenticator),
    };
  };
  try {
    return await relay(Buffer.from([1, 0, 0, 5, 1]));
  } finally {
    socket.close();
  }
}

function settle(
  peer: EapPeer<AkaPeerWorld>,
  device: Device,
  effects: readonly PeerEffect<AkaPeerWorld>[],
): PeerEffect<AkaPeerWorld>[] {
  return effects.flatMap((effect) => {
    if (effect.kind === "ask") return settle(peer, device, peer.answer(effect.askId, device.answer(effect.ask)));
    if (effect.kind !== "store") return [effect];
    device.remembered.set(effect.record.method, effect.record.identities);
    return [];
  });
}

/** hostapd's question for a vector, or its report of AUTS, in its text protocol. */
function answer(operator: Operator, question: string): string {
  const [kind, imsi, auts, rand] = question.trim().split(" ");
  if (kind === "AKA-AUTS") {
    const sqn = readAuts(operator.functions, Buffer.from(rand!, "hex"), Buffer.from(auts!, "hex"));
    if (sqn !== undefined) operator.counter = resynchronized(operator.counter, sqn, SQN_DEFAULTS);
    return "";
  }
  if (kind !== "AKA-REQ-AUTH" || imsi !== IMSI) return `AKA-RESP-AUTH ${imsi} FAILURE`;
  const { sqn, counter } = nextSqn(operator.counter, SQN_DEFAULTS);
  operator.counter = counter;
  operator.vectors++;
  // hostapd does not say for which method, and derives CK' and IK' itself: the separation bit serves both.
  const vector = makeVector(operator.functions, seededRandom(`vector ${sqn}`).bytes(16), sqn, AMF_SEPARATED);
  const parts = [vector.rand, vector.autn, vector.ik, vector.ck, vector.xres];
  return `AKA-RESP-AUTH ${imsi} ${parts.map((part) => part.toString("hex")).join(" ")}`;
}

async function freePort(): Promise<number> {
  const socket: Socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  await once(socket, "close");
  return port;
}
