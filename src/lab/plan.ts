/** Which devices the lab lets attach, by which call flow of TS 33.320 Annex A, and what is to become of them. */

export type Flow = "A.1" | "A.2";

/** What is wrong with a device on purpose. */
export type Fault = "revoked" | "notAuthorized" | "wrongKey";

export interface PlannedDevice {
  flow: Flow;
  fault: Fault | undefined;
  /** Of the hosting party; EAP-AKA where left out. */
  method?: "EAP-AKA" | "EAP-AKA'";
}

/** The reason for which a device of that fault must be refused: any other would hide that a check is missing. */
export const REASONS: Record<Fault, string> = {
  revoked: "CertificateRevoked",
  notAuthorized: "DeviceNotAuthorized",
  wrongKey: "HostingPartyRefused",
};

/** Two devices of each flow, and one for each way to be refused. */
export function wholePlan(): PlannedDevice[] {
  return [
    { flow: "A.1", fault: undefined },
    { flow: "A.1", fault: undefined },
    { flow: "A.1", fault: "revoked" },
    { flow: "A.1", fault: "notAuthorized" },
    { flow: "A.2", fault: undefined },
    { flow: "A.2", fault: undefined, method: "EAP-AKA'" },
    { flow: "A.2", fault: "wrongKey" },
  ];
}

/** So many devices by A.1; the last of two or more is revoked. */
export function devicesPlan(count: number): PlannedDevice[] {
  return Array.from({ length: count }, (_, at) => ({
    flow: "A.1",
    fault: at > 0 && at === count - 1 ? "revoked" : undefined,
  }));
}
