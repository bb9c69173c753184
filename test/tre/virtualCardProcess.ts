/**
 * A virtual card on vsmartcard's reader: `node virtualCardProcess.ts PORT SETTINGS`. Each message has its length in two
 * octets in front; one of a single octet is a command to the card as such: off, on, reset, "what is your ATR".
 */
import { connect } from "node:net";
import { VirtualCard } from "./virtualCard.ts";

const [port, settings] = process.argv.slice(2);
const parsed = JSON.parse(settings!) as ConstructorParameters<typeof VirtualCard>[0];
const card = new VirtualCard(parsed);
const socket = connect(Number(port), "127.0.0.1");
let received = Buffer.alloc(0);

socket.on("data", (part: Buffer) => {
  received = Buffer.concat([received, part]);
  while (received.length >= 2 && received.length >= 2 + received.readUInt16BE()) {
    const message = received.subarray(2, 2 + received.readUInt16BE());
    received = received.subarray(2 + message.length);
    if (message.length === 1) control(message[0]!);
    else send(card.transmit(message));
  }
});

function control(code: number): void {
  if (code === GET_ATR) send(ATR);
  else card.reset();
  if (code === POWER_ON) process.stdout.write("powered\n");
}

function send(message: Buffer): void {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  socket.write(Buffer.concat([length, message]));
}

const POWER_ON = 1;
const GET_ATR = 4;
/** Convention, no historical octets, and for T=1 the protocol and a checksum (ISO 7816-3 8.2). */
const ATR = Buffer.from(parsed.protocol === "T=0" ? "3b00" : "3b800181", "hex");
