/**
 * Milenage (TS 35.206): f1 to f5* on AES-128, with the constants c1-c5 and r1-r5 of the specification.
 *
 * One ECB cipher per key is kept and fed block after block: making a cipher costs more than ten blocks through it. An
 * operator's own constants (TS 35.206 5.3) were left out; no card seen in the field needs them.
 */
import { createCipheriv } from "node:crypto";
import type { Bytes } from "../bytes/bytes.ts";
import { type AkaFunctions, AkaLength, requireLength, xor } from "./akaFunctions.ts";

/** The functions of one subscriber. `k` and `opc` have 16 octets; throws RangeError otherwise. */
export function milenage(k: Bytes, opc: Bytes): AkaFunctions {
  requireLength("OPc", opc, BLOCK);
  const encrypt = blockCipher(k);

  const temp = (rand: Bytes): Bytes => {
    requireLength("RAND", rand, AkaLength.RAND);
    return encrypt(xor(rand, opc));
  };
  /** What OUT1 is the cipher of: TEMP xor rot(IN1 xor OPc, r1) xor c1, where c1 is zero and r1 is 64 (TS 35.206 4.1). */
  const input1 = (temp: Bytes, sqn: Bytes, amf: Bytes): Bytes => {
    requireLength("SQN", sqn, AkaLength.SQN);
    requireLength("AMF", amf, AkaLength.AMF);
    return xor(temp, rotate(xor(Buffer.concat([sqn, amf, sqn, amf]), opc), 64));
  };
  const out1 = (rand: Bytes, sqn: Bytes, amf: Bytes): Bytes => xor(encrypt(input1(temp(rand), sqn, amf)), opc);
  /** The same of OUT2 to OUT5: rot(TEMP xor OPc, r) xor c, where c has one bit set in its last octet. */
  const input = (masked: Bytes, r: number, c: number): Bytes => {
    const block = rotate(masked, r);
    block[BLOCK - 1]! ^= c;
    return block;
  };
  const inputs234 = (temp: Bytes): readonly Bytes[] => {
    const masked = xor(temp, opc);
    return [input(masked, 0, 1), input(masked, 32, 2), input(masked, 64, 4)];
  };
  const outputs234 = (out: Bytes) => {
    const out2 = xor(out.subarray(0, 16), opc);
    return {
      res: out2.subarray(8),
      ck: xor(out.subarray(16, 32), opc),
      ik: xor(out.subarray(32, 48), opc),
      ak: out2.subarray(0, AkaLength.AK),
    };
  };

  return {
    f1: (rand, sqn, amf) => out1(rand, sqn, amf).subarray(0, 8),
    f1Star: (rand, sqn, amf) => out1(rand, sqn, amf).subarray(8),
    f2345: (rand) => outputs234(encrypt(Buffer.concat(inputs234(temp(rand))))),
    vector(rand, sqn, amf) {
      const block = temp(rand);
      const out = encrypt(Buffer.concat([...inputs234(block), input1(block, sqn, amf)]));
      return { mac: xor(out.subarray(48), opc).subarray(0, 8), ...outputs234(out) };
    },
    f5Star: (rand) => xor(encrypt(input(xor(temp(rand), opc), 96, 8)), opc).subarray(0, AkaLength.AK),
  };
}

/** OPc from the operator's OP and the subscriber's K, 16 octets each (TS 35.206 4.1). */
export function deriveOpc(k: Bytes, op: Bytes): Bytes {
  requireLength("OP", op, BLOCK);
  return xor(blockCipher(k)(op), op);
}

/** Encrypts whole blocks with AES-128, each on its own. */
function blockCipher(k: Bytes): (blocks: Bytes) => Bytes {
  requireLength("K", k, BLOCK);
  const cipher = createCipheriv("aes-128-ecb", k, null).setAutoPadding(false);
  return (blocks) => cipher.update(blocks);
}

/** Rotates 16 octets left by `bits`, a multiple of 8. */
function rotate(block: Bytes, bits: number): Bytes {
  const octets = bits / 8;
  return Buffer.concat([block.subarray(octets), block.subarray(0, octets)]);
}

const BLOCK = 16;
