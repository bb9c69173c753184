/** Which devices bring a hosting party, by IDi (TS 33.320 A.1-4), where no AAA server says it. */
import type { GatewayConfig } from "./config.ts";

export type SecondRound = "required" | "allowed" | "forbidden";

export class UserProfiles {
  readonly #byDefault: SecondRound;
  readonly #profiles: readonly { fits: RegExp; hostingParty: SecondRound }[];

  constructor({ byDefault, profiles }: GatewayConfig["hostingParty"]) {
    this.#byDefault = byDefault;
    this.#profiles = profiles.map(({ device, hostingParty }) => ({ fits: patternOf(device), hostingParty }));
  }

  /** What the first profile that fits says of a device's FQDN. */
  of(device: string): SecondRound {
    return this.#profiles.find(({ fits }) => fits.test(device))?.hostingParty ?? this.#byDefault;
  }
}

/** `*` stands for any characters; all else for itself, without regard to case. */
function patternOf(pattern: string): RegExp {
  const literal = pattern.split("*").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${literal.join(".*")}$`, "i");
}
