/**
 * Hosting parties of an AAA server, as many as it can bear: a process of its own, so that its work is not the server's.
 *
 *   node bench/aaaLoad.ts AAA-LOAD.json     each line of input is "COUNT CONCURRENCY RATE"; a line of JSON answers it
 *
 * Each authentication is a full one by EAP-AKA, for a device and a session of its own, with the permanent identity.
 * RATE is how many are begun in a second, 0 for as many as there can be. Where `vectors` names a socket, this process is the HSS too, as hostapd asks one.
 */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import type { Bytes } from "../src/bytes/bytes.ts";
import { AkaPeer, firstIdentity } from "../src/eap/aka/peer.ts";
import type { AkaPeerOptions, AkaPeerWorld } from "../src/eap/aka/peerTypes.ts";
import { AKA, KDF_1 } from "../src/eap/aka/variant.ts";
import type { AkaFunctions } from "../src/eap/akaFunctions.ts";
import { AMF_PLAIN, makeVector } from "../src/eap/authenticationVector.ts";
import { milenage } from "../src/eap/milenage.ts";
import { EapPeer, type PeerEffect } from "../src/eap/peer.ts";
import { newSqnArray, SQN_DEFAULTS, type SqnArray } from "../src/eap/sqn.ts";
import { authenticateUsim } from "../src/eap/usim.ts";
import { eapMessage, eapOf } from "../src/radius/codec/eapMessage.ts";
import { Code } from "../src/radius/codec/numbers.ts";
import { attribute, attributeOf } from "../src/radius/codec/packet.ts";
import { RadiusRequester } from "../src/radius/transport/requester.ts";
import { systemEnvironment } from "../src/sim/system.ts";
import { bindUnixDatagram, type UnixDatagramSocket } from "../test/eap/interop/unixDatagram.ts";

export interface AaaLoad {
  port: number;
  secret: string;
  /** Keys in hexadecimal. */
  subscribers: readonly { imsi: string; k: string; opc: string }[];
  /** Where to serve vectors in hostapd's text protocol; absent where the server has its own HSS. */
  vectors?: string;
}

interface Party {
  imsi: string;
  functions: AkaFunctions;
  array: SqnArray;
  /** SEQ used last, where this process is the HSS. */
  seq: number;
}

const { random } = systemEnvironment;
const load: AaaLoad = JSON.parse(readFileSync(process.argv[2]!, "utf8"));
const parties = load.subscribers.map(({ imsi, k, opc }): Party => {
  const functions = milenage(Buffer.from(k, "hex"), Buffer.from(opc, "hex"));
  return { imsi, functions, array: newSqnArray(SQN_DEFAULTS), seq: 0 };
});
const requester = new RadiusRequester({
  ...systemEnvironment,
  servers: [{ name: "aaa", transport: "udp", address: "127.0.0.1", port: load.port, secret: Buffer.from(load.secret) }],
  timers: { first: 2_000, attempts: 6 },
  onEvent: () => {},
});
if (load.vectors !== undefined) serveVectors(load.vectors);
let begun = 0;

createInterface({ input: process.stdin }).on("line", async (line) => {
  const [count, concurrency, rate] = line.split(" ").map(Number) as [number, number, number];
  let started = 0;
  const since = performance.now();
  const work = async () => {
    for (let place = started++; place < count; place = started++) {
      const early = rate === 0 ? 0 : since + (place * 1000) / rate - performance.now();
      if (early > 0) await setTimeout(early);
      await authenticate(begun++);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, work));
  console.log(JSON.stringify({ event: "done", count }));
});
console.log(JSON.stringify({ event: "ready" }));

/** One subscriber is never in two authentications at once, since there are more of them than run together. */
async function authenticate(index: number): Promise<void> {
  const party = parties[index % parties.length]!;
  const options = peerOptions(party.imsi);
  const identity = firstIdentity(AKA, options);
  const peer = new EapPeer<AkaPeerWorld>({
    identity: Buffer.from(identity, "latin1"),
    protectedBelow: true,
    methods: [{ type: AKA.type, make: (said) => new AkaPeer(AKA, options, said) }],
  });
  const fixed = [
    attribute("User-Name", identity),
    attribute("NAS-Identifier", "segw.bench.example"),
    attribute("Calling-Station-Id", `ap-${index}.bench.example`),
    attribute("Acct-Session-Id", `segw.bench.example;1;${index}`),
  ];
  let state: Bytes | undefined;
  let packet = carryOut(peer, party, peer.receive(IDENTITY_REQUEST));
  while (packet !== undefined) {
    const more = state === undefined ? [] : [attribute("State", state)];
    const reply = await requester.request(Code.AccessRequest, [...fixed, ...more, ...eapMessage(packet)]);
    if (reply.packet.code === Code.AccessAccept) return;
    if (reply.packet.code !== Code.AccessChallenge) break;
    state = attributeOf(reply.packet, "State");
    packet = carryOut(peer, party, peer.receive(Buffer.from(eapOf(reply.packet)!)));
  }
  throw new Error(`${identity} was not accepted`);
}

function carryOut(
  peer: EapPeer<AkaPeerWorld>,
  party: Party,
  effects: readonly PeerEffect<AkaPeerWorld>[],
): Bytes | undefined {
  for (const effect of effects) {
    if (effect.kind === "send") return effect.packet;
    if (effect.kind !== "ask") continue;
    const { rand, autn } = effect.ask;
    const { answer, array } = authenticateUsim(party.functions, party.array, SQN_DEFAULTS, rand, autn);
    party.array = array;
    return carryOut(peer, party, peer.answer(effect.askId, { ask: "usim", answer }));
  }
  return undefined;
}

function peerOptions(imsi: string): AkaPeerOptions {
  return {
    random,
    imsi,
    realm: "nai.epc.mnc001.mcc001.3gppnetwork.org",
    remembered: { pseudonym: undefined, reauth: undefined },
    revealPermanent: true,
    resultIndications: false,
    acceptsAkaPrime: false,
    networkName: undefined,
    keyDerivations: [KDF_1],
  };
}

function serveVectors(path: string): void {
  const byImsi = new Map(parties.map((party) => [party.imsi, party]));
  const socket: UnixDatagramSocket = bindUnixDatagram(path, (message, from) => {
    const [, imsi = ""] = message.toString().trim().split(" ");
    const party = byImsi.get(imsi)!;
    party.seq += 1;
    const vector = makeVector(party.functions, Buffer.from(random.bytes(16)), party.seq * 32, AMF_PLAIN);
    const parts = [vector.rand, vector.autn, vector.ik, vector.ck, vector.xres];
    socket.send(Buffer.from(`AKA-RESP-AUTH ${imsi} ${parts.map((part) => part.toString("hex")).join(" ")}`), from);
  });
}

const IDENTITY_REQUEST = Buffer.from([1, 0, 0, 5, 1]);
