/** Stateless cookies (RFC 7296 2.6): under load, a peer must show that it receives at its address before we keep state. */
import { createHmac } from "node:crypto";
import { type Bytes, sameSecret } from "../../bytes/bytes.ts";
import type { UdpAddress } from "../../esp/dataPlane.ts";
import type { Clock, Random } from "../../sim/environment.ts";
import type { IkeSpi } from "../codec/message.ts";

export class CookieJar {
  readonly #clock: Clock;
  readonly #random: Random;
  #version = 0;
  #current: Bytes;
  #previous: Bytes | undefined;
  #renewAt: number;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
    this.#current = random.bytes(SECRET_LENGTH);
    this.#renewAt = clock.now() + SECRET_LIFE;
  }

  make(initiatorSpi: IkeSpi, nonceI: Bytes, from: UdpAddress): Bytes {
    this.#renew();
    return this.#cookie(this.#version, this.#current, initiatorSpi, nonceI, from);
  }

  /** True for a cookie that this jar made for the same SPI, nonce and address within the last two secrets' lives. */
  accepts(cookie: Bytes, initiatorSpi: IkeSpi, nonceI: Bytes, from: UdpAddress): boolean {
    this.#renew();
    if (cookie.length !== COOKIE_LENGTH) return false;
    const version = cookie[0]!;
    if (version === this.#version)
      return sameSecret(cookie, this.#cookie(version, this.#current, initiatorSpi, nonceI, from));
    if (version !== ((this.#version - 1) & 0xff) || this.#previous === undefined) return false;
    return sameSecret(cookie, this.#cookie(version, this.#previous, initiatorSpi, nonceI, from));
  }

  #cookie(version: number, secret: Bytes, initiatorSpi: IkeSpi, nonceI: Bytes, from: UdpAddress): Bytes {
    const mac = createHmac("sha256", secret)
      .update(`${initiatorSpi} ${from.address} ${from.port} `)
      .update(nonceI)
      .digest();
    return Buffer.concat([Buffer.from([version]), mac], COOKIE_LENGTH);
  }

  #renew(): void {
    const now = this.#clock.now();
    if (now < this.#renewAt) return;
    this.#previous = now < this.#renewAt + SECRET_LIFE ? this.#current : undefined;
    this.#current = this.#random.bytes(SECRET_LENGTH);
    this.#version = (this.#version + 1) & 0xff;
    this.#renewAt = now + SECRET_LIFE;
  }
}

const SECRET_LENGTH = 32;
const COOKIE_LENGTH = 33;
/** Milliseconds a secret serves; cookies of the one before are still taken. */
const SECRET_LIFE = 60_000;
