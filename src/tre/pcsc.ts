/**
 * Cards in readers through PC/SC (pcsc-lite's `libpcsclite.so.1` and its daemon), by FFI.
 *
 * Seven functions are all that is needed. The npm packages that wrap them (pcsclite, @pokusew/pcsclite) compile an
 * add-on against headers that must be installed, and follow new releases of Node late or not at all; koffi is here
 * already. Calls that wait for the card run in koffi's own threads.
 */
import type { Bytes } from "../bytes/bytes.ts";
import { UsimError, type UsimProblem } from "./usim.ts";
import type { CardChannel } from "./usimCard.ts";

export interface OpenCard extends CardChannel {
  /** Gives the card back, reset. */
  close(): Promise<void>;
}

/** Connects to the card in the reader whose name begins with `reader`, or in the only one; throws UsimError. */
export async function openCard(reader: string | undefined): Promise<OpenCard> {
  const pcsc = await loadPcsc();
  const out = Buffer.alloc(8);
  await check(pcsc.establishContext(SCOPE_SYSTEM, null, null, out));
  const context = out.readBigInt64LE();
  try {
    const name = choose(await readers(pcsc, context), reader);
    const handle = Buffer.alloc(8);
    const active = Buffer.alloc(8);
    await check(pcsc.connect(context, name, SHARE_EXCLUSIVE, PROTOCOL_T0 | PROTOCOL_T1, handle, active));
    return channel(pcsc, context, handle.readBigInt64LE(), Number(active.readBigUInt64LE()));
  } catch (error) {
    await pcsc.releaseContext(context);
    throw error;
  }
}

function channel(pcsc: Pcsc, context: bigint, card: bigint, active: number): OpenCard {
  // SCARD_IO_REQUEST: the protocol and the structure's own length.
  const request = Buffer.alloc(16);
  request.writeBigUInt64LE(BigInt(active), 0);
  request.writeBigUInt64LE(16n, 8);
  return {
    protocol: active === PROTOCOL_T1 ? "T=1" : "T=0",
    async transmit(command: Bytes): Promise<Bytes> {
      const answer = Buffer.alloc(MAX_ANSWER);
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(MAX_ANSWER));
      await check(pcsc.transmit(card, request, command, command.length, null, answer, length));
      return answer.subarray(0, Number(length.readBigUInt64LE()));
    },
    async close(): Promise<void> {
      // Whatever they answer: the card is given up.
      await pcsc.disconnect(card, RESET_CARD);
      await pcsc.releaseContext(context);
    },
  };
}

async function readers(pcsc: Pcsc, context: bigint): Promise<string[]> {
  const names = Buffer.alloc(MAX_NAMES);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(MAX_NAMES));
  await check(pcsc.listReaders(context, null, names, length));
  // Strings one behind the other, each with its zero.
  const all = names.toString("utf8", 0, Number(length.readBigUInt64LE()));
  return all.split("\0").filter((name) => name !== "");
}

function choose(names: readonly string[], wanted: string | undefined): string {
  const fitting = names.filter((name) => wanted === undefined || name.startsWith(wanted));
  const [first, ...others] = fitting;
  if (first !== undefined && (wanted !== undefined || others.length === 0)) return first;
  const known = names.map((name) => `"${name}"`).join(", ");
  if (first === undefined)
    throw new UsimError("NoReader", `no card reader is called "${wanted}"; there is ${known === "" ? "none" : known}`);
  throw new UsimError("NoReader", `name the card reader that holds the USIM: ${known}`);
}

/** All give a status of PC/SC. */
interface Pcsc {
  establishContext(scope: number, reserved1: null, reserved2: null, context: Bytes): Promise<number>;
  releaseContext(context: bigint): Promise<number>;
  listReaders(context: bigint, groups: null, names: Bytes, length: Bytes): Promise<number>;
  connect(
    context: bigint,
    reader: string,
    share: number,
    protocols: number,
    card: Bytes,
    active: Bytes,
  ): Promise<number>;
  disconnect(card: bigint, disposition: number): Promise<number>;
  transmit(
    card: bigint,
    sendHeader: Bytes,
    command: Bytes,
    length: number,
    receiveHeader: null,
    answer: Bytes,
    answerLength: Bytes,
  ): Promise<number>;
}

async function loadPcsc(): Promise<Pcsc> {
  try {
    const { default: koffi } = await import("koffi");
    const library = koffi.load("libpcsclite.so.1");
    const declare =
      (prototype: string) =>
      (...input: readonly unknown[]): Promise<number> => {
        const call = library.func(prototype);
        return new Promise((resolve, reject) => {
          call.async(...input, (error: unknown, status: number) => (error ? reject(error) : resolve(status)));
        });
      };
    return {
      establishContext: declare("long SCardEstablishContext(unsigned long, void *, void *, void *)"),
      releaseContext: declare("long SCardReleaseContext(long)"),
      listReaders: declare("long SCardListReaders(long, void *, void *, void *)"),
      connect: declare("long SCardConnect(long, str, unsigned long, unsigned long, void *, void *)"),
      disconnect: declare("long SCardDisconnect(long, unsigned long)"),
      transmit: declare("long SCardTransmit(long, void *, void *, unsigned long, void *, void *, void *)"),
    };
  } catch (error) {
    throw new UsimError(
      "NoPcsc",
      `PC/SC cannot be loaded (${error instanceof Error ? error.message : error}): install pcscd and libpcsclite1`,
    );
  }
}

async function check(call: Promise<number>): Promise<void> {
  const status = (await call) >>> 0;
  if (status === 0) return;
  const known = STATUSES.get(status);
  const code = `PC/SC status ${status.toString(16)}`;
  if (known === undefined) throw new UsimError("CardRefused", code);
  throw new UsimError(known[0], `${known[1]} (${code})`);
}

const SCOPE_SYSTEM = 2;
const SHARE_EXCLUSIVE = 1;
const PROTOCOL_T0 = 1;
const PROTOCOL_T1 = 2;
const RESET_CARD = 1;
const MAX_ANSWER = 258;
const MAX_NAMES = 4096;

const STATUSES = new Map<number, readonly [UsimProblem, string]>([
  [0x8010_0009, ["NoReader", "there is no such card reader"]],
  [0x8010_000b, ["NoCard", "another program holds the card"]],
  [0x8010_000c, ["NoCard", "there is no card in the reader"]],
  [0x8010_001d, ["NoPcsc", "the daemon pcscd does not run"]],
  [0x8010_001e, ["NoPcsc", "the daemon pcscd went away"]],
  [0x8010_002e, ["NoReader", "there is no card reader"]],
  [0x8010_0066, ["NoCard", "the card does not answer"]],
  [0x8010_0068, ["NoCard", "the card was reset"]],
  [0x8010_0069, ["NoCard", "the card was taken out"]],
]);
