/** What a person in the middle sees and does: datagrams of a simulated network, also decrypted and changed. */
import type { Bytes } from "../../src/bytes/bytes.ts";
import { decodeMessage, decodePayloads } from "../../src/ike/codec/decode.ts";
import { encodeMessage, encodePayloads } from "../../src/ike/codec/encode.ts";
import { peekHeader } from "../../src/ike/codec/header.ts";
import type { IkeHeader, Payload } from "../../src/ike/codec/message.ts";
import { ExchangeType, PayloadType } from "../../src/ike/codec/numbers.ts";
import { type Encoded, ivLength, openEncrypted, protectMessage } from "../../src/ike/crypto/protect.ts";
import type { Address, World } from "../../src/sim/world.ts";
import { SEGW_ADDRESS } from "./credentials.ts";
import type { SimulatedDevice, SimulatedGateway } from "./ecosystem.ts";

export interface Datagram {
  packet: Bytes;
  from: Address;
  to: Address;
  header: IkeHeader;
}

/** Notes every IKE datagram from now on, as it was sent. */
export function eavesdrop(world: World): Datagram[] {
  const datagrams: Datagram[] = [];
  world.tap = (packet, from, to) => {
    const header = peekHeader(packet);
    if (header !== undefined) datagrams.push({ packet: Buffer.from(packet), from, to, header });
    return packet;
  };
  return datagrams;
}

/** Delivers a datagram again, or one that was never sent, as its receiver would see it. */
export function inject(world: World, packet: Bytes, { from, to }: Pick<Datagram, "from" | "to">): void {
  world.send(packet, from, to, to.port === 4500 ? "natT" : "");
}

/** What becomes of a message's payloads: others in their place, octets that are none, or unchanged. */
export type Rewriting = (payloads: readonly Payload[], header: IkeHeader) => readonly Payload[] | Encoded | undefined;

/**
 * Changes what `sender` says in messages of `exchange` as if it had said so itself: protected messages are opened and
 * sealed with its own keys, so that the receiver finds them authentic. Switch fragmentation off for it.
 */
export function misspeak(
  world: World,
  sender: SimulatedDevice | SimulatedGateway,
  exchange: keyof typeof ExchangeType,
  rewriting: Rewriting,
): void {
  const address = "address" in sender ? sender.address : SEGW_ADDRESS;
  world.tap = (packet, from) => {
    const header = peekHeader(packet);
    if (from.address !== address || header?.exchangeType !== ExchangeType[exchange]) return packet;
    const decoded = decodeMessage(packet);
    if (decoded.encrypted === undefined) {
      const changed = rewriting(decoded.payloads, header) ?? decoded.payloads;
      return "bytes" in changed ? packet : encodeMessage(header, changed);
    }
    if (packet[16] !== PayloadType.SK) throw new Error("a fragment: set ike.fragmentSize to 0");
    const exported = sender
      .of("keys")
      .findLast((keys) => keys.initiatorSpi === header.initiatorSpi && keys.responderSpi === header.responderSpi);
    if (exported === undefined) throw new Error("no keys for this IKE SA");
    const { suite, keys } = exported;
    const role = header.fromInitiator ? "initiator" : "responder";
    const { firstInner, plaintext } = openEncrypted(packet, decoded, suite, keys, role);
    const changed = rewriting(decodePayloads(firstInner, plaintext), header);
    if (changed === undefined) return packet;
    const content = "bytes" in changed ? changed : encodePayloads(changed);
    // The original never arrives, so that its IV is free.
    const iv = decoded.encrypted.body.subarray(0, ivLength(suite));
    return protectMessage(header, content, suite, keys, role, iv);
  };
}

export function without(...kinds: Payload["kind"][]): Rewriting {
  return (payloads) => payloads.filter(({ kind }) => !kinds.includes(kind));
}

/** Adds a payload of a type that nobody knows. */
export function withUnknown(critical: boolean): Rewriting {
  return (payloads) => [{ kind: "unknown", type: 200, critical, data: Buffer.from("?") }, ...payloads];
}

/** Changes the payloads of one kind. */
export function altering<K extends Payload["kind"]>(
  kind: K,
  change: (payload: Extract<Payload, { kind: K }>) => Payload,
): Rewriting {
  return (payloads) =>
    payloads.map((payload) => (payload.kind === kind ? change(payload as Extract<Payload, { kind: K }>) : payload));
}

/** Authentic, and yet no payloads: a length that goes past the end. */
export const GIBBERISH: Encoded = { firstType: PayloadType.Nonce, bytes: Buffer.from("00007fff00", "hex") };
