/** What IKE asks of a hosting party, answered by its module: one authentication after the other (TS 33.320 A.2-5, A.2-6). */
import type { HostingPartyAnswer, HostingPartyRequest } from "../ike/sa/effects.ts";
import type { HostingPartyModule } from "../tre/hostingPartyModule.ts";
import { IdType, identityText } from "../tre/identity.ts";
import type { PeerRefusal } from "../tre/trustedEnvironment.ts";

export class HostingParty {
  readonly #module: HostingPartyModule;
  #method: "EAP-AKA" | "EAP-AKA'" = "EAP-AKA";

  constructor(module: HostingPartyModule) {
    this.#module = module;
  }

  /** EAP and everything made from its key happen in the module. Rejects with what the module throws. */
  async carryOut(step: HostingPartyRequest): Promise<HostingPartyAnswer | PeerRefusal> {
    const module = this.#module;
    switch (step.kind) {
      case "begin": {
        const idData = await module.begin();
        return {
          kind: "identity",
          identity: { idType: IdType.RFC822_ADDR, idData, text: identityText(IdType.RFC822_ADDR, idData) },
        };
      }
      case "receive": {
        const answer = await module.receive(step.packet);
        if (answer.kind === "respond") return answer;
        if (answer.kind === "failed") return { reason: answer.refusal.reason, message: answer.refusal.message };
        if (answer.kind === "ignored")
          return { reason: "EapIgnored", message: `the gateway's EAP packet makes no sense: ${answer.problem}` };
        this.#method = answer.method;
        return { kind: "succeeded" };
      }
      case "computeAuth":
        return { kind: "auth", data: await module.computeAuth(step.prf, step.octets) };
      case "verifyAuth":
        if (await module.verifyAuth(step.prf, step.octets, step.auth))
          return { kind: "verified", eap: EAP_OUTCOMES[this.#method] };
        return {
          reason: "WrongAuth",
          message: "the gateway's last AUTH was not made with the key of the EAP conversation (TS 33.320 A.2)",
        };
    }
  }
}

const EAP_OUTCOMES = { "EAP-AKA": "aka success", "EAP-AKA'": "aka' success" } as const;
