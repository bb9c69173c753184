/**
 * Client of charon's VICI control socket (the protocol of strongSwan's src/libcharon/plugins/vici/README.md).
 *
 * swanctl speaks the same protocol, but prints text for people and cannot wait for an event; the tests need SAs as data
 * and "the child was rekeyed" as a promise, so that nothing sleeps or polls.
 */
import { connect, type Socket } from "node:net";
import { Reader } from "../../../src/bytes/reader.ts";
import { Writer } from "../../../src/bytes/writer.ts";

/** A VICI message: named texts, lists of texts and nested sections. */
export interface ViciMessage {
  [name: string]: string | string[] | ViciMessage;
}

export interface ViciEvent {
  name: string;
  message: ViciMessage;
}

/** charon refused a command, or the connection ended before it answered. */
export class ViciError extends Error {
  override readonly name = "ViciError";
}

const PacketType = {
  CmdRequest: 0,
  CmdResponse: 1,
  CmdUnknown: 2,
  EventRegister: 3,
  EventUnregister: 4,
  EventConfirm: 5,
  EventUnknown: 6,
  Event: 7,
} as const;

const ElementType = { SectionStart: 1, SectionEnd: 2, KeyValue: 3, ListStart: 4, ListItem: 5, ListEnd: 6 } as const;

/** charon itself refuses longer packets. */
const MAX_PACKET_OCTETS = 512 * 1024;

interface Pending {
  settle(type: number, body: Buffer): void;
  fail(error: Error): void;
}

export class Vici {
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #pending: Pending | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #closed: Error | undefined;
  readonly #listeners = new Set<(event: ViciEvent) => void>();

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("error", (error) => this.#onClosed(error));
    socket.on("close", () => this.#onClosed(new ViciError("charon closed the control socket")));
  }

  /** Connects to the UNIX socket at `path`. */
  static connect(path: string): Promise<Vici> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new Vici(socket));
      });
    });
  }

  /** Sends a command and returns its answer; an answer with `success` other than "yes" is a `ViciError`. */
  async command(name: string, message: ViciMessage = {}): Promise<ViciMessage> {
    const answer = await this.#exchange(PacketType.CmdRequest, name, encode(message), PacketType.CmdResponse);
    const decoded = decode(answer);
    if (decoded.success !== undefined && decoded.success !== "yes") {
      throw new ViciError(`${name}: ${String(decoded.errmsg ?? "refused")}`);
    }
    return decoded;
  }

  /** Sends a command that answers by a stream of `event`s (list-sas by list-sa, say) and returns these. */
  async stream(name: string, event: string, message: ViciMessage = {}): Promise<ViciMessage[]> {
    const collected: ViciMessage[] = [];
    const listener = (seen: ViciEvent) => {
      if (seen.name === event) collected.push(seen.message);
    };
    await this.subscribe(event);
    this.#listeners.add(listener);
    try {
      await this.command(name, message);
      return collected;
    } finally {
      this.#listeners.delete(listener);
      await this.#exchange(PacketType.EventUnregister, event, Buffer.alloc(0), PacketType.EventConfirm);
    }
  }

  /** Has charon send the events of that name from now on. */
  async subscribe(event: string): Promise<void> {
    await this.#exchange(PacketType.EventRegister, event, Buffer.alloc(0), PacketType.EventConfirm);
  }

  /** Calls `listener` with every event that comes; returns how to stop that. */
  onEvent(listener: (event: ViciEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#socket.destroy();
  }

  #exchange(type: number, name: string, body: Buffer, expected: number): Promise<Buffer> {
    const run = () =>
      new Promise<Buffer>((resolve, reject) => {
        if (this.#closed !== undefined) return reject(this.#closed);
        this.#pending = {
          settle: (answer, content) =>
            answer === expected ? resolve(content) : reject(new ViciError(`charon does not know ${name}`)),
          fail: reject,
        };
        this.#socket.write(packet(type, name, body));
      });
    // One at a time: answers carry no name, so their order is all that tells them apart.
    const answer = this.#queue.then(run, run);
    this.#queue = answer.catch(() => undefined);
    return answer;
  }

  #onData(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    while (this.#received.length >= 4) {
      const length = this.#received.readUInt32BE(0);
      if (length > MAX_PACKET_OCTETS) {
        this.#socket.destroy(new ViciError(`packet of ${length} octets`));
        return;
      }
      if (this.#received.length < 4 + length) return;
      const body = this.#received.subarray(4, 4 + length);
      this.#received = this.#received.subarray(4 + length);
      this.#onPacket(body);
    }
  }

  #onPacket(body: Buffer): void {
    const reader = new Reader(body);
    const type = reader.u8("packet type");
    if (type === PacketType.Event) {
      const name = reader.take(reader.u8("event name length"), "event name").toString();
      const event = { name, message: decode(reader.rest()) };
      for (const listener of [...this.#listeners]) listener(event);
      return;
    }
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.settle(type, reader.rest());
  }

  #onClosed(error: Error): void {
    this.#closed ??= error;
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.fail(this.#closed);
  }
}

function packet(type: number, name: string, body: Buffer): Buffer {
  const writer = new Writer(body.length + name.length + 6);
  writer.u32(2 + name.length + body.length).u8(type);
  writer.u8(name.length).bytes(Buffer.from(name)).bytes(body);
  return writer.view();
}

function encode(message: ViciMessage): Buffer {
  const writer = new Writer();
  writeSection(writer, message);
  return writer.view();
}

function writeSection(writer: Writer, message: ViciMessage): void {
  const name = (text: string) => writer.u8(Buffer.byteLength(text)).bytes(Buffer.from(text));
  const value = (text: string) => writer.u16(Buffer.byteLength(text)).bytes(Buffer.from(text));
  for (const [key, content] of Object.entries(message)) {
    if (typeof content === "string") {
      writer.u8(ElementType.KeyValue);
      name(key);
      value(content);
    } else if (Array.isArray(content)) {
      writer.u8(ElementType.ListStart);
      name(key);
      for (const item of content) {
        writer.u8(ElementType.ListItem);
        value(item);
      }
      writer.u8(ElementType.ListEnd);
    } else {
      writer.u8(ElementType.SectionStart);
      name(key);
      writeSection(writer, content);
      writer.u8(ElementType.SectionEnd);
    }
  }
}

function decode(bytes: Buffer): ViciMessage {
  const reader = new Reader(bytes);
  const message = readSection(reader);
  reader.end("message");
  return message;
}

function readSection(reader: Reader): ViciMessage {
  const message: ViciMessage = {};
  const name = () => reader.take(reader.u8("name length"), "name").toString();
  const value = () => reader.take(reader.u16("value length"), "value").toString();
  while (!reader.atEnd) {
    const type = reader.u8("element type");
    if (type === ElementType.SectionEnd) return message;
    if (type === ElementType.KeyValue) {
      const key = name();
      message[key] = value();
    } else if (type === ElementType.SectionStart) {
      const key = name();
      message[key] = readSection(reader);
    } else if (type === ElementType.ListStart) {
      const key = name();
      const items: string[] = [];
      while (reader.u8("list element type") === ElementType.ListItem) items.push(value());
      message[key] = items;
    } else {
      reader.fail("element type", `unknown ${type}`);
    }
  }
  return message;
}
