/**
 * A UICC with a USIM, as far as our reader of cards and wpa_supplicant's ask for it (ETSI TS 102 221, TS 31.102): the file
 * system around EF_DIR, IMSI and EF_AD, a PIN, and AUTHENTICATE. Speaks T=0 (answers are fetched) or T=1.
 */
import { milenage } from "../../src/eap/milenage.ts";
import { newSqnArray, SQN_DEFAULTS, type SqnArray } from "../../src/eap/sqn.ts";
import { authenticateUsim } from "../../src/eap/usim.ts";

export interface CardSettings {
  imsi: string;
  k: string;
  opc: string;
  mncDigits: 2 | 3;
  protocol: "T=0" | "T=1";
  /** Undefined for a card whose PIN is off. */
  pin: string | undefined;
  /** SEQ that the card has seen, for every IND. */
  seq: number;
}

const AID = "a0000000871002ff49ff0589";

export class VirtualCard {
  readonly #settings: CardSettings;
  readonly #functions;
  #array: SqnArray;
  #selected = "3f00";
  #unlocked: boolean;
  #tries = 3;
  #waiting: Buffer = Buffer.alloc(0);

  constructor(settings: CardSettings) {
    this.#settings = settings;
    this.#functions = milenage(Buffer.from(settings.k, "hex"), Buffer.from(settings.opc, "hex"));
    this.#array = newSqnArray(SQN_DEFAULTS).map(() => settings.seq);
    this.#unlocked = settings.pin === undefined;
  }

  /** Power or reset: the PIN must be shown again; SQN stays. */
  reset(): void {
    this.#selected = "3f00";
    this.#unlocked = this.#settings.pin === undefined;
  }

  /** Answer with status to one command. */
  transmit(command: Buffer): Buffer {
    const [, ins, p1, p2, length = 0] = command;
    const parameters = command.subarray(5, 5 + length);
    switch (ins) {
      case 0xa4:
        return this.#select(p1!, p2!, parameters);
      case 0xb2:
        return this.#read(this.#selected === "2f00" && p1 === 1 ? directory() : undefined, length, 0x6a83);
      case 0xb0:
        return this.#read(this.#file(), length, 0x6986);
      case 0x20:
        return this.#verify(parameters);
      case 0xc0:
        return Buffer.concat([this.#waiting.subarray(0, length), status(0x9000)]);
      case 0x88:
        return this.#authenticate(parameters);
      default:
        return status(0x6d00);
    }
  }

  #select(p1: number, p2: number, parameters: Buffer): Buffer {
    const name = parameters.toString("hex");
    const application = p1 === 0x04;
    if (application ? !AID.startsWith(name) : !["3f00", "2f00", "7fff", "6f07", "6fad"].includes(name))
      return status(0x6a82);
    this.#selected = application ? AID : name;
    return p2 === 0x0c ? status(0x9000) : this.#answer(controlParameters(this.#selected));
  }

  #file(): Buffer | undefined {
    const { imsi, mncDigits } = this.#settings;
    if (this.#selected === "6fad") return Buffer.from([0, 0, 0, mncDigits]);
    if (this.#selected !== "6f07") return undefined;
    // Length, parity and digits, half octets swapped (TS 31.102 4.2.2).
    const digits = `9${imsi}`.padEnd(16, "f").replace(/(.)(.)/g, "$2$1");
    return Buffer.concat([Buffer.from([8]), Buffer.from(digits, "hex")]);
  }

  #read(content: Buffer | undefined, expected: number, missing: number): Buffer {
    if (content === undefined) return status(missing);
    if (this.#selected === "6f07" && !this.#unlocked) return status(0x6982);
    if (this.#settings.protocol === "T=0" && expected !== content.length) return status(0x6c00 | content.length);
    return Buffer.concat([content, status(0x9000)]);
  }

  #verify(parameters: Buffer): Buffer {
    const expected = Buffer.alloc(8, 0xff);
    expected.write(this.#settings.pin ?? "");
    if (this.#tries === 0) return status(0x6983);
    if (parameters.length === 0) return status(this.#unlocked ? 0x9000 : 0x63c0 | this.#tries);
    if (!parameters.equals(expected)) return status(0x63c0 | --this.#tries);
    this.#tries = 3;
    this.#unlocked = true;
    return status(0x9000);
  }

  #authenticate(parameters: Buffer): Buffer {
    if (!this.#unlocked) return status(0x6982);
    const [rand, autn] = [parameters.subarray(1, 17), parameters.subarray(18, 34)];
    const { answer, array } = authenticateUsim(this.#functions, this.#array, SQN_DEFAULTS, rand, autn);
    this.#array = array;
    if (answer.kind === "macFailure") return status(0x9862);
    if (answer.kind === "syncFailure") return this.#answer(Buffer.concat([Buffer.from([0xdc, 14]), answer.auts]));
    const parts = [answer.res, answer.ck, answer.ik].flatMap((part) => [Buffer.from([part.length]), part]);
    return this.#answer(Buffer.concat([Buffer.from([0xdb]), ...parts]));
  }

  /** Under T=0 an answer waits to be fetched. */
  #answer(body: Buffer): Buffer {
    if (this.#settings.protocol === "T=1") return Buffer.concat([body, status(0x9000)]);
    this.#waiting = body;
    return status(0x6100 | body.length);
  }
}

/** One record of EF_DIR: the USIM's AID and a label, filled up. */
function directory(): Buffer {
  const aid = Buffer.from(AID, "hex");
  const label = Buffer.from("USIM");
  const body = Buffer.concat([Buffer.from([0x4f, aid.length]), aid, Buffer.from([0x50, label.length]), label]);
  const record = Buffer.alloc(32, 0xff);
  Buffer.concat([Buffer.from([0x61, body.length]), body]).copy(record);
  return record;
}

/** FCP template (ETSI TS 102 221 11.1.1.3): descriptor, and for applications a PIN status in which no PIN is on. */
function controlParameters(selected: string): Buffer {
  const descriptor = { "2f00": "8205422100 2001", "6f07": "82024121", "6fad": "82024121" }[selected] ?? "82027821";
  const size = { "2f00": "80020020", "6f07": "80020009", "6fad": "80020004" }[selected] ?? "";
  const pins = selected === AID || selected === "3f00" ? "c606900100830101" : "";
  const body = Buffer.from(
    `${descriptor}8302${selected === AID ? "7fff" : selected}${size}${pins}8a0105`.replaceAll(" ", ""),
    "hex",
  );
  return Buffer.concat([Buffer.from([0x62, body.length]), body]);
}

function status(code: number): Buffer {
  return Buffer.from([code >> 8, code & 0xff]);
}
