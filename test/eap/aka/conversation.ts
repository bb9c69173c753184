/**
 * One subscriber, its USIM and its operator, and conversations between them over a link that may lose, double, reorder
 * and change packets. All asks are answered at once; no clock runs: a timeout is what happens when nothing else does.
 */
import { createHash } from "node:crypto";
import { deriveCkIkPrime } from "../../../src/eap/aka/keys.ts";
import { AkaPeer, firstIdentity } from "../../../src/eap/aka/peer.ts";
import type {
  AkaPeerAnswer,
  AkaPeerAsk,
  AkaPeerOptions,
  AkaPeerWorld,
  RememberedIdentities,
} from "../../../src/eap/aka/peerTypes.ts";
import { AkaServer } from "../../../src/eap/aka/server.ts";
import type {
  AkaServerAnswer,
  AkaServerAsk,
  AkaServerOptions,
  AkaServerRecord,
  AkaServerWorld,
  ReauthContext,
} from "../../../src/eap/aka/serverTypes.ts";
import { AKA, AKA_PRIME, type AkaVariant } from "../../../src/eap/aka/variant.ts";
import type { AkaFunctions } from "../../../src/eap/akaFunctions.ts";
import { AMF_PLAIN, AMF_SEPARATED, makeVector, readAuts } from "../../../src/eap/authenticationVector.ts";
import { type AuthenticatorEffect, type Beginning, EapAuthenticator } from "../../../src/eap/authenticator.ts";
import type { EapRefusal, EapResult } from "../../../src/eap/method.ts";
import { milenage } from "../../../src/eap/milenage.ts";
import { EapPeer, type PeerEffect } from "../../../src/eap/peer.ts";
import {
  newSqnArray,
  nextSqn,
  resynchronized,
  SQN_DEFAULTS,
  type SqnArray,
  type SqnCounter,
} from "../../../src/eap/sqn.ts";
import { authenticateUsim } from "../../../src/eap/usim.ts";
import { type SeededRandom, seededRandom } from "../../../src/sim/random.ts";
import { peerOptions, serverOptions } from "./options.ts";

export const IMSI = "001010123456789";
export const REALM = "nai.epc.mnc001.mcc001.3gppnetwork.org";
export const K = Buffer.from("465b5ce8b199b49faa5f0a2ee238a6bc", "hex");
export const OPC = Buffer.from("cd63cb71954a9f4e48a5994e37a02baf", "hex");

/** HSS and identity store of an operator, with the SQN of one subscriber. */
export class Operator {
  functions: AkaFunctions = milenage(K, OPC);
  counter: SqnCounter = { seq: 100, ind: 0 };
  vectors = 0;
  readonly pseudonyms = new Map<string, string>();
  readonly reauths = new Map<string, ReauthContext>();
  authorization: "allowed" | "notSubscribed" | "temporarilyDenied" = "allowed";
  /** Replaces the answer to any ask. */
  override: ((ask: AkaServerAsk) => AkaServerAnswer | undefined) | undefined;
  readonly asks: string[] = [];
  readonly #random: SeededRandom;

  constructor(seed: number | string) {
    this.#random = seededRandom(`operator ${seed}`);
  }

  answer(ask: AkaServerAsk): AkaServerAnswer {
    this.asks.push(ask.ask);
    const override = this.override?.(ask);
    if (override !== undefined) return override;
    switch (ask.ask) {
      case "vector":
        return this.#vector(ask);
      case "resolvePseudonym":
        return { ask: "resolvePseudonym", imsi: this.pseudonyms.get(ask.username) };
      case "takeReauth": {
        const context = this.reauths.get(ask.username);
        this.reauths.delete(ask.username);
        return { ask: "takeReauth", context };
      }
      case "authorize":
        return { ask: "authorize", verdict: this.authorization };
    }
  }

  store(record: AkaServerRecord): void {
    if (record.record === "pseudonym") this.pseudonyms.set(record.username, record.imsi);
    else this.reauths.set(record.username, record.context);
  }

  #vector(ask: Extract<AkaServerAsk, { ask: "vector" }>): AkaServerAnswer {
    if (ask.imsi !== IMSI) return { ask: "vector", refusal: "UnknownSubscriber", message: "no such subscriber" };
    if (ask.resync !== undefined) {
      const sqn = readAuts(this.functions, ask.resync.rand, ask.resync.auts);
      if (sqn === undefined) return { ask: "vector", refusal: "WrongAuts", message: "MAC-S is wrong" };
      this.counter = resynchronized(this.counter, sqn, SQN_DEFAULTS);
    }
    const { sqn, counter } = nextSqn(this.counter, SQN_DEFAULTS);
    this.counter = counter;
    this.vectors++;
    const prime = ask.method === "EAP-AKA'";
    const vector = makeVector(this.functions, this.#random.bytes(16), sqn, prime ? AMF_SEPARATED : AMF_PLAIN);
    const { ck, ik } = prime
      ? deriveCkIkPrime(vector.ck, vector.ik, Buffer.from(ask.networkName), vector.autn)
      : vector;
    return { ask: "vector", vector: { ...vector, ck, ik } };
  }
}

/** A device with its USIM. */
export class Device {
  functions: AkaFunctions = milenage(K, OPC);
  array: SqnArray = newSqnArray(SQN_DEFAULTS);
  /** What was learned, by EAP type. */
  readonly remembered = new Map<number, RememberedIdentities>();
  override: ((ask: AkaPeerAsk) => AkaPeerAnswer["answer"] | undefined) | undefined;
  asks = 0;

  answer(ask: AkaPeerAsk): AkaPeerAnswer {
    this.asks++;
    const override = this.override?.(ask);
    if (override !== undefined) return { ask: "usim", answer: override };
    const { answer, array } = authenticateUsim(this.functions, this.array, SQN_DEFAULTS, ask.rand, ask.autn);
    this.array = array;
    return { ask: "usim", answer };
  }
}

export type Direction = "request" | "response";

export interface Settings {
  seed?: number | string;
  /** Methods that each side has, most preferred first. */
  serverVariants?: readonly AkaVariant[];
  peerVariants?: readonly AkaVariant[];
  server?: Partial<AkaServerOptions>;
  peer?: Partial<AkaPeerOptions>;
  /** The identity said first, in place of the one that the peer would say. */
  identity?: string;
  beginning?: Beginning["kind"];
  protectedBelow?: boolean;
  /** What becomes of the n-th packet in a direction: the packets that arrive in its place. */
  link?: (packet: Buffer, direction: Direction, n: number) => readonly Buffer[];
}

export interface Outcome {
  server: EapResult | EapRefusal | undefined;
  peer: EapResult | EapRefusal | undefined;
  /** Every packet that was sent. */
  packets: { direction: Direction; packet: Buffer }[];
  dropped: string[];
  serverOf: EapAuthenticator<AkaServerWorld>;
  peerOf: EapPeer<AkaPeerWorld>;
}

/** Runs one conversation to its end. */
export function converse(operator: Operator, device: Device, settings: Settings = {}): Outcome {
  const { seed = 1, serverVariants = [AKA], peerVariants = [AKA], link = (packet) => [packet] } = settings;
  const random = seededRandom(`conversation ${seed} ${operator.vectors} ${operator.counter.seq}`);
  const authenticator = new EapAuthenticator<AkaServerWorld>({
    random,
    methods: serverVariants.map((variant) => ({
      type: variant.type,
      make: () =>
        new AkaServer(
          variant,
          serverOptions(random, { prefersAkaPrime: serverVariants[0] === AKA_PRIME, ...settings.server }),
        ),
    })),
  });
  const optionsOf = (variant: AkaVariant) =>
    peerOptions(random, {
      remembered: device.remembered.get(variant.type) ?? { pseudonym: undefined, reauth: undefined },
      acceptsAkaPrime: peerVariants.includes(AKA_PRIME),
      ...settings.peer,
    });
  const first = peerVariants[0] ?? AKA;
  const identity = Buffer.from(settings.identity ?? firstIdentity(first, optionsOf(first)), "latin1");
  const peer = new EapPeer<AkaPeerWorld>({
    identity,
    protectedBelow: settings.protectedBelow ?? false,
    methods: peerVariants.map((variant) => ({
      type: variant.type,
      make: (said) => new AkaPeer(variant, optionsOf(variant), said),
    })),
  });

  const outcome: Outcome = {
    server: undefined,
    peer: undefined,
    packets: [],
    dropped: [],
    serverOf: authenticator,
    peerOf: peer,
  };
  const inFlight: { direction: Direction; packet: Buffer }[] = [];
  const sent = { request: 0, response: 0 };
  const send = (direction: Direction, packet: Buffer) => {
    outcome.packets.push({ direction, packet });
    for (const arriving of link(packet, direction, sent[direction]++)) inFlight.push({ direction, packet: arriving });
  };
  const onServer = (effects: readonly AuthenticatorEffect<AkaServerWorld>[]): void => {
    for (const effect of effects) {
      if (effect.kind === "send") send("request", effect.packet);
      else if (effect.kind === "ask") onServer(authenticator.answer(effect.askId, operator.answer(effect.ask)));
      else if (effect.kind === "dropped") outcome.dropped.push(`server: ${effect.problem}`);
      else if (effect.kind === "store") operator.store(effect.record);
      else {
        outcome.server = effect.kind === "succeeded" ? effect.result : effect.refusal;
        send("request", effect.packet);
      }
    }
  };
  const onPeer = (effects: readonly PeerEffect<AkaPeerWorld>[]): void => {
    for (const effect of effects) {
      if (effect.kind === "send") send("response", effect.packet);
      else if (effect.kind === "ask") onPeer(peer.answer(effect.askId, device.answer(effect.ask)));
      else if (effect.kind === "store") device.remembered.set(effect.record.method, effect.record.identities);
      else if (effect.kind === "dropped") outcome.dropped.push(`peer: ${effect.problem}`);
      else if (effect.kind === "succeeded") outcome.peer = effect.result;
      else if (effect.kind === "failed") outcome.peer = effect.refusal;
    }
  };

  onServer(authenticator.begin(beginning(settings.beginning ?? "nothing", identity)));
  for (let steps = 0; steps < MAX_STEPS; steps++) {
    const next = inFlight.shift();
    if (next === undefined) {
      // Nothing is under way: either all is said, or the server's timer fires.
      if (authenticator.ended) break;
      onServer(authenticator.retransmit());
    } else if (next.direction === "request") onPeer(peer.receive(next.packet));
    else onServer(authenticator.receive(next.packet));
  }
  if (!authenticator.ended) throw new Error(`the server has not come to an end after ${MAX_STEPS} packets`);
  return outcome;
}

/** Both ends succeeded and hold the same; returns the server's result. */
export function agreed({ server, peer, dropped }: Outcome): EapResult {
  if (server === undefined || "reason" in server) throw new Error(`server: ${server?.message} (${dropped.join("; ")})`);
  if (peer === undefined || "reason" in peer) throw new Error(`peer: ${peer?.message} (${dropped.join("; ")})`);
  const [a, b] = [fingerprint(server), fingerprint(peer)];
  if (a !== b) throw new Error(`server and peer disagree:\n${a}\n${b}`);
  return server;
}

/** Why both ends failed: the reasons of the server and of the peer. */
export function reasons({ server, peer }: Outcome): [string | undefined, string | undefined] {
  const reason = (end: EapResult | EapRefusal | undefined) =>
    end === undefined ? undefined : "reason" in end ? end.reason : "success";
  return [reason(server), reason(peer)];
}

/** Type and subtype of each packet, such as "request 23/5". */
export function shapes({ packets }: Outcome): string[] {
  return packets.map(({ direction, packet }) => {
    if (packet[0]! > 2) return packet[0] === 3 ? "success" : "failure";
    return packet[4]! > 3 ? `${direction} ${packet[4]}/${packet[5]}` : `${direction} ${packet[4]}`;
  });
}

function fingerprint(result: EapResult): string {
  const { msk, emsk, sessionId, ...rest } = result;
  const secret = createHash("sha256").update(msk).update(emsk).digest("hex");
  return JSON.stringify({ ...rest, secret, sessionId: sessionId.toString("hex") });
}

function beginning(kind: Beginning["kind"], identity: Buffer): Beginning {
  switch (kind) {
    case "nothing":
      return { kind };
    case "identity":
      return { kind, identity };
    case "response": {
      const packet = Buffer.concat([Buffer.from([2, 77, 0, 5 + identity.length, 1]), identity]);
      return { kind, packet };
    }
  }
}

const MAX_STEPS = 500;
