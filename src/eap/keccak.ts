/**
 * The permutation Keccak-f[1600] (FIPS 202 3), which TUAK uses bare.
 *
 * node:crypto offers SHA-3 but not the permutation below it. A lane of 64 bits lies in two 32-bit halves, low half
 * first: BigInt arithmetic is some fifty times slower. Rotations and round constants are computed as the standard
 * defines them, so that there is no table to mistype.
 */

/** Permutes 200 octets in place. */
export function keccakF1600(octets: Uint8Array): void {
  if (octets.length !== STATE_LENGTH)
    throw new RangeError(`Keccak-f[1600] permutes ${STATE_LENGTH} octets, not ${octets.length}`);
  const view = new DataView(octets.buffer, octets.byteOffset, STATE_LENGTH);
  const state = new Uint32Array(50);
  for (let i = 0; i < 50; i++) state[i] = view.getUint32(4 * i, true);
  for (let round = 0; round < ROUNDS; round++) {
    theta(state);
    rhoAndPi(state);
    chi(state);
    state[0]! ^= ROUND_CONSTANTS[2 * round]!;
    state[1]! ^= ROUND_CONSTANTS[2 * round + 1]!;
  }
  for (let i = 0; i < 50; i++) view.setUint32(4 * i, state[i]!, true);
}

function theta(state: Uint32Array): void {
  const parity = new Uint32Array(10);
  for (let i = 0; i < 50; i++) parity[i % 10]! ^= state[i]!;
  for (let x = 0; x < 5; x++) {
    const before = 2 * ((x + 4) % 5);
    const after = 2 * ((x + 1) % 5);
    const low = parity[before]! ^ ((parity[after]! << 1) | (parity[after + 1]! >>> 31));
    const high = parity[before + 1]! ^ ((parity[after + 1]! << 1) | (parity[after]! >>> 31));
    for (let lane = 2 * x; lane < 50; lane += 10) {
      state[lane]! ^= low;
      state[lane + 1]! ^= high;
    }
  }
}

/** Moves each lane to its new place, rotated: one cycle through all lanes but the first (FIPS 202 3.2.2, 3.2.3). */
function rhoAndPi(state: Uint32Array): void {
  let low = state[2]!;
  let high = state[3]!;
  for (let step = 0; step < 24; step++) {
    const lane = LANES[step]!;
    const bits = ROTATIONS[step]!;
    const [nextLow, nextHigh] = [state[lane]!, state[lane + 1]!];
    const [a, b] = bits < 32 ? [low, high] : [high, low];
    const shift = bits % 32;
    state[lane] = shift === 0 ? a : (a << shift) | (b >>> (32 - shift));
    state[lane + 1] = shift === 0 ? b : (b << shift) | (a >>> (32 - shift));
    [low, high] = [nextLow, nextHigh];
  }
}

function chi(state: Uint32Array): void {
  const row = new Uint32Array(10);
  for (let y = 0; y < 50; y += 10) {
    row.set(state.subarray(y, y + 10));
    for (let i = 0; i < 10; i++) state[y + i]! ^= ~row[(i + 2) % 10]! & row[(i + 4) % 10]!;
  }
}

const STATE_LENGTH = 200;
const ROUNDS = 24;

/** Index of the low half of the lane that step t of the cycle fills, and the rotation on the way: (t+1)(t+2)/2. */
const LANES = new Uint8Array(24);
const ROTATIONS = new Uint8Array(24);
for (let t = 0, x = 1, y = 0; t < 24; t++) {
  [x, y] = [y, (2 * x + 3 * y) % 5];
  LANES[t] = 2 * (x + 5 * y);
  ROTATIONS[t] = (((t + 1) * (t + 2)) / 2) % 64;
}

/** Bits 2^j - 1 of each round's constant come from an LFSR over x^8 + x^6 + x^5 + x^4 + 1 (FIPS 202 3.2.5). */
const ROUND_CONSTANTS = new Uint32Array(2 * ROUNDS);
for (let round = 0, register = 1; round < ROUNDS; round++) {
  for (let j = 0; j < 7; j++) {
    if ((register & 1) !== 0) {
      const bit = 2 ** j - 1;
      ROUND_CONSTANTS[2 * round + (bit >> 5)]! |= 1 << (bit & 31);
    }
    register = (register << 1) ^ (register >> 7 === 0 ? 0 : 0x171);
  }
}
