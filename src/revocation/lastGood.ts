/** Until when each certificate was last known to be good, by method: what a time of grace counts from. */
import type { StatusVerdict } from "../trust/statusAnswer.ts";
import type { LastGood } from "../trust/statusDecision.ts";
import type { Certificate } from "../x509/certificate.ts";

export class LastGoodMemory {
  /** By fingerprint, those learnt of least recently first. */
  readonly #known = new Map<string, LastGood>();

  of(certificate: Certificate): LastGood {
    return this.#known.get(certificate.fingerprint) ?? {};
  }

  /** Takes in what a verdict on the path found. */
  learn(path: readonly Certificate[], { certificates }: StatusVerdict): void {
    for (const [index, { findings }] of certificates.entries()) {
      const { fingerprint } = path[index]!;
      const learnt: LastGood = { ...this.#known.get(fingerprint) };
      for (const { method, answer } of findings) {
        if (answer.status === "good") learnt[method] = Math.max(learnt[method] ?? 0, answer.evidence.nextUpdate);
        // Revoked once, it has no good time left to be granted grace for.
        else if (answer.status === "revoked") delete learnt[method];
      }
      this.#known.delete(fingerprint);
      if (Object.keys(learnt).length > 0) this.#known.set(fingerprint, learnt);
      if (this.#known.size > MAX_KNOWN) this.#known.delete(this.#known.keys().next().value!);
    }
  }
}

/** Certificates remembered; each takes some 200 octets. */
const MAX_KNOWN = 200_000;
