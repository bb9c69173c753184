/**
 * A USIM on a card, command by command (TS 31.102, ETSI TS 102 221): finds the application, reads IMSI and EF_AD, shows
 * the PIN where one is needed, and runs AUTHENTICATE. What carries the commands is another matter (`pcsc.ts`).
 *
 * What a card answers is decoded like any other input: it may be a broken or a hostile one.
 */
import type { Bytes } from "../bytes/bytes.ts";
import { DecodeError, Reader } from "../bytes/reader.ts";
import { requireLength } from "../eap/akaFunctions.ts";
import type { UsimAnswer } from "../eap/usim.ts";
import { type Usim, UsimError } from "./usim.ts";

/** A card in a reader. */
export interface CardChannel {
  readonly protocol: "T=0" | "T=1";
  /** Sends a command and gives the answer with its two octets of status. Throws UsimError. */
  transmit(command: Bytes): Promise<Bytes>;
}

export class UsimCard implements Usim {
  readonly #channel: CardChannel;
  readonly #subscriber: { imsi: string; mncDigits: 2 | 3 };

  private constructor(channel: CardChannel, subscriber: { imsi: string; mncDigits: 2 | 3 }) {
    this.#channel = channel;
    this.#subscriber = subscriber;
  }

  /** Selects the USIM application and reads who its subscriber is; throws UsimError. `pin` has 4 to 8 digits. */
  static async open(channel: CardChannel, pin: string | undefined): Promise<UsimCard> {
    return decoding(async () => {
      await select(channel, 0x04, await findUsim(channel));
      const imsi = await readImsi(channel, pin);
      return new UsimCard(channel, { imsi, mncDigits: await readMncDigits(channel) });
    });
  }

  async subscriber(): Promise<{ imsi: string; mncDigits: 2 | 3 }> {
    return this.#subscriber;
  }

  authenticate(rand: Bytes, autn: Bytes): Promise<UsimAnswer> {
    requireLength("RAND", rand, 16);
    requireLength("AUTN", autn, 16);
    return decoding(async () => {
      const parameters = Buffer.concat([Buffer.from([16]), rand, Buffer.from([16]), autn]);
      const { status, body } = await command(this.#channel, 0x88, 0x00, 0x81, parameters, 0);
      // TS 31.102 7.3.1: the MAC is wrong.
      if (status === 0x9862) return { kind: "macFailure" };
      if (status !== OK) throw refused("AUTHENTICATE", status);
      return readAnswer(body);
    });
  }
}

/** TS 31.102 7.1.2.1: DB with RES, CK, IK and perhaps Kc, or DC with AUTS. */
function readAnswer(body: Bytes): UsimAnswer {
  const reader = new Reader(body);
  const tag = reader.u8("answer tag");
  const value = (name: string, ...lengths: readonly number[]): Bytes => {
    const length = reader.u8(`${name} length`);
    if (!lengths.includes(length)) reader.fail(name, `${length} octets`);
    return Buffer.from(reader.take(length, name));
  };
  if (tag === 0xdc) return { kind: "syncFailure", auts: value("AUTS", 14) };
  if (tag !== 0xdb) reader.fail("answer tag", `0x${tag.toString(16)} is neither DB nor DC`);
  const res = value("RES", 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
  return { kind: "authenticated", res, ck: value("CK", 16), ik: value("IK", 16) };
}

/** The AID of the first USIM that EF_DIR lists (ETSI TS 102 221 13.1). */
async function findUsim(channel: CardChannel): Promise<Bytes> {
  await select(channel, 0x00, Buffer.from("2f00", "hex"));
  for (let record = 1; record <= MAX_RECORDS; record++) {
    const { status, body } = await command(channel, 0xb2, record, 0x04, undefined, 0);
    if (status !== OK) break;
    const aid = aidOf(body);
    if (aid?.subarray(0, USIM_AID.length).equals(USIM_AID)) return aid;
  }
  throw new UsimError("NoUsim", "the card holds no USIM application; a SIM of the second generation does not serve");
}

/** 61 L 4F L AID ...; undefined for an empty record. */
function aidOf(record: Bytes): Bytes | undefined {
  const reader = new Reader(record);
  if (reader.u8("EF_DIR tag") !== 0x61) return undefined;
  const template = reader.sub(reader.u8("EF_DIR length"), "EF_DIR");
  if (template.u8("AID tag") !== 0x4f) return undefined;
  return Buffer.from(template.take(template.u8("AID length"), "AID"));
}

async function readImsi(channel: CardChannel, pin: string | undefined): Promise<string> {
  await select(channel, 0x00, Buffer.from("6f07", "hex"));
  let read = await command(channel, 0xb0, 0, 0, undefined, 9);
  if (read.status === SECURITY_NOT_SATISFIED) {
    if (pin === undefined)
      throw new UsimError("PinNeeded", "the card asks for its PIN: configure it, or switch it off");
    await showPin(channel, pin);
    read = await command(channel, 0xb0, 0, 0, undefined, 9);
  }
  if (read.status !== OK) throw refused("reading the IMSI", read.status);
  const reader = new Reader(read.body);
  const digits = reader.take(reader.u8("IMSI length"), "IMSI");
  // Half octets swapped; the first holds the parity (TS 31.102 4.2.2).
  const text = digits.toString("hex").replace(/(.)(.)/g, "$2$1");
  const imsi = text.slice(1).replace(/f+$/, "");
  if (!/^\d{6,15}$/.test(imsi)) reader.fail("IMSI", "is not made of digits");
  return imsi;
}

/** The last half octet of EF_AD (TS 31.102 4.2.18); cards older than it have MNCs of two digits. */
async function readMncDigits(channel: CardChannel): Promise<2 | 3> {
  await select(channel, 0x00, Buffer.from("6fad", "hex"));
  const { status, body } = await command(channel, 0xb0, 0, 0, undefined, 4);
  return status === OK && ((body[3] ?? 0) & 0x0f) === 3 ? 3 : 2;
}

async function showPin(channel: CardChannel, pin: string): Promise<void> {
  if (!/^\d{4,8}$/.test(pin)) throw new UsimError("PinWrong", "a PIN has 4 to 8 digits");
  const padded = Buffer.alloc(8, 0xff);
  padded.write(pin, "ascii");
  const { status } = await command(channel, 0x20, 0x00, 0x01, padded, undefined);
  if (status === OK) return;
  // ETSI TS 102 221 11.1.9: 63Cx says how often it may be tried again. It is not tried again here.
  const left = (status & 0xfff0) === 0x63c0 ? `${status & 0x0f} more tries` : "no more tries";
  throw new UsimError("PinWrong", `the card does not take its PIN; it allows ${left}`);
}

async function select(channel: CardChannel, p1: number, file: Bytes): Promise<void> {
  const { status } = await command(channel, 0xa4, p1, 0x0c, file, undefined);
  if (status !== OK) throw refused(`selecting ${file.toString("hex")}`, status);
}

/**
 * One command and its whole answer. Under T=0 an answer must be fetched (61xx), and a wrong length is told (6Cxx); a card
 * that goes on doing so is given up (ISO 7816-4 5.3).
 */
async function command(
  channel: CardChannel,
  ins: number,
  p1: number,
  p2: number,
  parameters: Bytes | undefined,
  expected: number | undefined,
): Promise<{ status: number; body: Bytes }> {
  const header = Buffer.from([0x00, ins, p1, p2]);
  const lc = parameters === undefined ? [] : [Buffer.from([parameters.length]), parameters];
  // Under T=0 Le does not go with parameters.
  const le = expected === undefined || (parameters !== undefined && channel.protocol === "T=0") ? [] : [expected];
  let next = Buffer.concat([header, ...lc, Buffer.from(le)]);
  const parts: Bytes[] = [];
  for (let turn = 0; turn < MAX_TURNS; turn++) {
    const answer = await channel.transmit(next);
    if (answer.length < 2) throw new UsimError("CardRefused", "the card answers without a status");
    const status = answer.readUInt16BE(answer.length - 2);
    parts.push(answer.subarray(0, answer.length - 2));
    if (status >> 8 === 0x61) next = Buffer.from([0x00, 0xc0, 0x00, 0x00, status & 0xff]);
    else if (status >> 8 === 0x6c) next = Buffer.concat([header, Buffer.from([status & 0xff])]);
    else return { status, body: Buffer.concat(parts) };
  }
  throw new UsimError("CardRefused", "the card never comes to an end with its answer");
}

function refused(what: string, status: number): UsimError {
  return new UsimError("CardRefused", `${what}: the card answers with status ${status.toString(16).padStart(4, "0")}`);
}

/** Turns an answer that cannot be decoded into a UsimError. */
async function decoding<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    throw new UsimError("CardRefused", `the card's answer makes no sense: ${error.message}`);
  }
}

/** RID of 3GPP and the application code of a USIM (TS 101 220 Annex E). */
const USIM_AID = Buffer.from("a0000000871002", "hex");
const OK = 0x9000;
const SECURITY_NOT_SATISFIED = 0x6982;
const MAX_RECORDS = 16;
const MAX_TURNS = 8;
