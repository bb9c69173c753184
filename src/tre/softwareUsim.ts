/**
 * A USIM in software (TS 31.102 7.1.2, TS 33.102 Annex C): K never leaves this object, and the SQN array is on the disk
 * before an answer leaves it, so that neither a crash nor a copy of an old state makes it accept a challenge twice.
 *
 * DIR/usim.yaml holds subscriber and key (mode 0600), DIR/sqn.json the array. A state that cannot be read is an error: to
 * begin anew with zeros would let every old challenge through.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Bytes } from "../bytes/bytes.ts";
import { loadConfig } from "../config/load.ts";
import type { AkaFunctions } from "../eap/akaFunctions.ts";
import { milenage } from "../eap/milenage.ts";
import { newSqnArray, SQN_DEFAULTS, type SqnArray, type SqnRules } from "../eap/sqn.ts";
import { TUAK_DEFAULTS, tuak } from "../eap/tuak.ts";
import { authenticateUsim, type UsimAnswer } from "../eap/usim.ts";
import { replaceFile } from "./durableFile.ts";
import { type Usim, UsimError } from "./usim.ts";

export class SoftwareUsim implements Usim {
  readonly #stateFile: string;
  readonly #functions: AkaFunctions;
  readonly #rules: SqnRules;
  readonly #imsi: string;
  readonly #mncDigits: 2 | 3;
  #array: SqnArray;
  /** Cards answer one command after the other, and so does this one. */
  #busy: Promise<unknown> = Promise.resolve();

  /** Opens a folder; throws UsimError, or ConfigError for a usim.yaml that is not in its form. */
  constructor(directory: string) {
    const file = join(directory, "usim.yaml");
    const card = loadConfig(CARD, read(file), file);
    this.#stateFile = join(directory, "sqn.json");
    this.#imsi = card.imsi;
    this.#mncDigits = card.mncDigits;
    this.#rules = { indBits: card.sqn.indBits, delta: card.sqn.delta, ageLimit: card.sqn.ageLimit };
    this.#functions =
      card.algorithm.name === "milenage"
        ? milenage(card.algorithm.k, card.algorithm.opc)
        : tuak(card.algorithm.k, card.algorithm.topc, {
            ...TUAK_DEFAULTS,
            res: card.algorithm.res,
            iterations: card.algorithm.iterations,
          });
    this.#array = readArray(this.#stateFile, this.#rules);
  }

  async subscriber(): Promise<{ imsi: string; mncDigits: 2 | 3 }> {
    return { imsi: this.#imsi, mncDigits: this.#mncDigits };
  }

  authenticate(rand: Bytes, autn: Bytes): Promise<UsimAnswer> {
    const turn = this.#busy.then(() => this.#authenticate(rand, autn));
    this.#busy = turn.catch(() => undefined);
    return turn;
  }

  async #authenticate(rand: Bytes, autn: Bytes): Promise<UsimAnswer> {
    const { answer, array } = authenticateUsim(this.#functions, this.#array, this.#rules, rand, autn);
    if (array === this.#array) return answer;
    try {
      await replaceFile(this.#stateFile, `${JSON.stringify({ seq: array })}\n`);
    } catch (error) {
      throw new UsimError("StateNotWritten", `${this.#stateFile}: ${error instanceof Error ? error.message : error}`);
    }
    this.#array = array;
    return answer;
  }
}

function readArray(file: string, rules: SqnRules): SqnArray {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return newSqnArray(rules);
    throw new UsimError("StateUnreadable", `${file}: ${error instanceof Error ? error.message : error}`);
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    parsed = undefined;
  }
  const state = STATE.safeParse(parsed);
  if (!state.success || state.data.seq.length !== 2 ** rules.indBits)
    throw new UsimError(
      "StateUnreadable",
      `${file} does not hold ${2 ** rules.indBits} sequence numbers: restore it from a copy no older than the last authentication, or give the subscriber a new K`,
    );
  return state.data.seq;
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new UsimError("Unreadable", `${file} cannot be read: ${error instanceof Error ? error.message : error}`);
  }
}

const hex = (...octets: readonly number[]) =>
  z
    .string()
    .regex(/^([0-9a-f]{2})+$/i, { error: "is not written in hexadecimal digits" })
    .transform((text) => Buffer.from(text, "hex"))
    .refine(({ length }) => octets.includes(length), { error: `has not ${octets.join(" or ")} octets` });

/** usim.yaml. Digits stand in quotes: YAML would make a number of them. */
const CARD = z.strictObject({
  imsi: z.string().regex(/^\d{6,15}$/, { error: 'is no IMSI of 6 to 15 digits, in quotes, such as "001010123456789"' }),
  mncDigits: z.union([z.literal(2), z.literal(3)]).default(2),
  algorithm: z.discriminatedUnion("name", [
    z.strictObject({ name: z.literal("milenage"), k: hex(16), opc: hex(16) }),
    z.strictObject({
      name: z.literal("tuak"),
      k: hex(16, 32),
      topc: hex(32),
      res: z.union([z.literal(32), z.literal(64), z.literal(128)]).default(64),
      iterations: z.number().int().min(1).max(255).default(1),
    }),
  ]),
  sqn: z
    .strictObject({
      indBits: z.number().int().min(0).max(8).default(SQN_DEFAULTS.indBits),
      delta: z
        .number()
        .int()
        .min(1)
        .max(2 ** 43)
        .default(SQN_DEFAULTS.delta),
      ageLimit: z.number().int().min(1).optional(),
    })
    .default({ ...SQN_DEFAULTS, ageLimit: undefined }),
});

/** sqn.json */
const STATE = z.strictObject({
  seq: z.array(
    z
      .number()
      .int()
      .min(0)
      .max(2 ** 43),
  ),
});
