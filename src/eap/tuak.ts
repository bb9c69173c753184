/**
 * TUAK (TS 35.231): f1 to f5* on the bare permutation Keccak-f[1600].
 *
 * The specification numbers bits so that every field ends up with its octets in reverse order; nothing is reversed
 * within an octet but INSTANCE, whose bit 0 is the most significant one. Lengths that EAP-AKA cannot carry (MAC above 64
 * bits, CK and IK of 256) are here because the published test sets use them.
 */
import type { Bytes } from "../bytes/bytes.ts";
import { type AkaFunctions, AkaLength, requireLength } from "./akaFunctions.ts";
import { keccakF1600 } from "./keccak.ts";

/** Lengths in bits and the number of permutations (TS 35.231 6, 7). */
export interface TuakOptions {
  mac: 64 | 128 | 256;
  res: 32 | 64 | 128 | 256;
  ck: 128 | 256;
  ik: 128 | 256;
  iterations: number;
}

/** What EAP-AKA carries: MAC of 64 bits, CK and IK of 128. */
export const TUAK_DEFAULTS: TuakOptions = { mac: 64, res: 64, ck: 128, ik: 128, iterations: 1 };

/** The functions of one subscriber: `k` has 16 or 32 octets, `topc` 32. Throws RangeError for other lengths. */
export function tuak(k: Bytes, topc: Bytes, options: TuakOptions = TUAK_DEFAULTS): AkaFunctions {
  const { mac, res, ck, ik, iterations } = options;
  const run = (instance: number, rand: Bytes, amf?: Bytes, sqn?: Bytes): Bytes => {
    requireLength("RAND", rand, AkaLength.RAND);
    if (amf !== undefined) requireLength("AMF", amf, AkaLength.AMF);
    if (sqn !== undefined) requireLength("SQN", sqn, AkaLength.SQN);
    return permute(k, topc, instance, { rand, amf, sqn }, iterations);
  };
  const f1: AkaFunctions["f1"] = (rand, sqn, amf) => read(run((mac / 64) << 3, rand, amf, sqn), Field.top, mac / 8);
  const f2345: AkaFunctions["f2345"] = (rand) => {
    // RES of 32 bits is coded as 0, the others as their number of 64-bit words.
    const lengths = (Math.floor(res / 64) << 3) | (ck === 256 ? 4 : 0) | (ik === 256 ? 2 : 0);
    const out = run(Instance.f2345 | lengths, rand);
    return {
      res: read(out, Field.top, res / 8),
      ck: read(out, Field.ck, ck / 8),
      ik: read(out, Field.ik, ik / 8),
      ak: read(out, Field.ak, AkaLength.AK),
    };
  };
  return {
    f1,
    f1Star: (rand, sqn, amf) => read(run(Instance.f1Star | ((mac / 64) << 3), rand, amf, sqn), Field.top, mac / 8),
    f2345,
    vector: (rand, sqn, amf) => ({ mac: f1(rand, sqn, amf), ...f2345(rand) }),
    f5Star: (rand) => read(run(Instance.f5Star, rand), Field.ak, AkaLength.AK),
  };
}

/** TOPc from the operator's TOP (32 octets) and the subscriber's K (TS 35.231 6.1). */
export function deriveTopc(k: Bytes, top: Bytes, iterations: number = TUAK_DEFAULTS.iterations): Bytes {
  return read(permute(k, top, 0, {}, iterations), Field.top, 32);
}

interface Inputs {
  rand?: Bytes | undefined;
  amf?: Bytes | undefined;
  sqn?: Bytes | undefined;
}

function permute(k: Bytes, top: Bytes, instance: number, inputs: Inputs, iterations: number): Bytes {
  requireLength("K", k, 16, 32);
  requireLength("TOP or TOPc", top, 32);
  const state = Buffer.alloc(200);
  write(state, Field.top, top);
  state[Field.instance] = instance | (k.length === 32 ? 1 : 0);
  write(state, Field.name, ALGONAME);
  if (inputs.rand !== undefined) write(state, Field.rand, inputs.rand);
  if (inputs.amf !== undefined) write(state, Field.amf, inputs.amf);
  if (inputs.sqn !== undefined) write(state, Field.sqn, inputs.sqn);
  write(state, Field.k, k);
  state[Field.padding] = 0x1f;
  state[Field.lastPadding] = 0x80;
  for (let i = 0; i < iterations; i++) keccakF1600(state);
  return state;
}

function write(state: Bytes, at: number, field: Bytes): void {
  for (let i = 0; i < field.length; i++) state[at + i] = field[field.length - 1 - i]!;
}

function read(state: Bytes, at: number, length: number): Bytes {
  return Buffer.from(state.subarray(at, at + length)).reverse();
}

/** First octets of the fields, of inputs and of outputs (TS 35.231 6.1 to 6.4). */
const Field = {
  top: 0,
  instance: 32,
  ck: 32,
  name: 33,
  rand: 40,
  amf: 56,
  sqn: 58,
  k: 64,
  ik: 64,
  padding: 96,
  ak: 96,
  lastPadding: 135,
} as const;

/** INSTANCE without its lengths; f1 is 0. */
const Instance = { f2345: 0x40, f1Star: 0x80, f5Star: 0xc0 } as const;

const ALGONAME = Buffer.from("TUAK1.0", "ascii");
