/**
 * The USIM in a card reader: opened at first use, and anew after the card was taken out or reset.
 *
 * The card is held exclusively: another program that selects another application between two commands would make
 * AUTHENTICATE run in it.
 */
import type { Bytes } from "../bytes/bytes.ts";
import type { UsimAnswer } from "../eap/usim.ts";
import { type OpenCard, openCard } from "./pcsc.ts";
import { type Usim, UsimError } from "./usim.ts";
import { UsimCard } from "./usimCard.ts";

export class PcscUsim implements Usim {
  readonly #reader: string | undefined;
  readonly #pin: string | undefined;
  #open: { card: OpenCard; usim: UsimCard } | undefined;
  /** A wrong PIN is shown once: three times would block the card. */
  #pinRefused: UsimError | undefined;
  #busy: Promise<unknown> = Promise.resolve();

  /** `reader` is the beginning of the reader's name; undefined where there is only one. `pin` has 4 to 8 digits. */
  constructor(reader: string | undefined, pin: string | undefined) {
    this.#reader = reader;
    this.#pin = pin;
  }

  subscriber(): Promise<{ imsi: string; mncDigits: 2 | 3 }> {
    return this.#run((usim) => usim.subscriber());
  }

  authenticate(rand: Bytes, autn: Bytes): Promise<UsimAnswer> {
    return this.#run((usim) => usim.authenticate(rand, autn));
  }

  /** Gives the card back. */
  close(): Promise<void> {
    const turn = this.#busy.then(() => this.#close());
    this.#busy = turn;
    return turn;
  }

  #run<T>(use: (usim: UsimCard) => Promise<T>): Promise<T> {
    const turn = this.#busy.then(async () => {
      try {
        return await use(await this.#usim());
      } catch (error) {
        if (error instanceof UsimError && error.reason === "NoCard") await this.#close();
        throw error;
      }
    });
    this.#busy = turn.catch(() => undefined);
    return turn;
  }

  async #usim(): Promise<UsimCard> {
    if (this.#open !== undefined) return this.#open.usim;
    if (this.#pinRefused !== undefined) throw this.#pinRefused;
    const card = await openCard(this.#reader);
    try {
      const usim = await UsimCard.open(card, this.#pin);
      this.#open = { card, usim };
      return usim;
    } catch (error) {
      if (error instanceof UsimError && error.reason === "PinWrong") this.#pinRefused = error;
      await card.close();
      throw error;
    }
  }

  async #close(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    await open?.card.close();
  }
}
