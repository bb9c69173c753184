/**
 * The typed reasons for which an attachment is refused or fails, with the messages that go with them, as they stand in
 * the code: object literals with `reason` and `message`, `refuse(...)`, `untrusted(...)`, AuthSignatureError, and what
 * turns refusals of paths and of revocation status into sentences.
 */
import { type Node, Visitor } from "oxc-parser";
import type { SourceFile } from "../tidy/tree.ts";
import { propertiesOf, sourcesAt, textOf, textsOf } from "./sources.ts";

/** Whose log the reason can stand in. */
export type Side = "segw" | "henb" | "hems" | "management";

export interface Refusal {
  reason: string;
  sides: ReadonlySet<Side>;
  /** Each with an ellipsis for what differs from case to case. */
  messages: ReadonlySet<string>;
  /** Notify types that the peer is told, where the code names one beside the reason. */
  notifies: ReadonlySet<string>;
  sources: ReadonlySet<string>;
}

/** All reasons, in order of name. */
export function refusals(): Refusal[] {
  const found = new Map<string, Found>();
  for (const { path, sides } of PLACES) {
    for (const file of sourcesAt(path)) {
      const own = PLACES.find((place) => place.path === file.path);
      if (own !== undefined && own.path !== path) continue;
      for (const { reason, message, notify } of reasonsIn(file)) {
        const known = found.get(reason) ?? empty(reason);
        found.set(reason, known);
        for (const side of SIDES[reason] ?? sides) known.sides.add(side);
        if (message !== undefined) known.messages.add(message);
        if (notify !== undefined) known.notifies.add(notify);
        known.sources.add(file.path);
      }
    }
  }
  return [...found.values()].sort((a, b) => (a.reason < b.reason ? -1 : 1));
}

interface Found extends Refusal {
  sides: Set<Side>;
  messages: Set<string>;
  notifies: Set<string>;
  sources: Set<string>;
}

interface Reason {
  reason: string;
  message: string | undefined;
  notify: string | undefined;
}

function reasonsIn(file: SourceFile): Reason[] {
  const found: Reason[] = [];
  const notifies = new Map<Node, string>();
  const makers = messagesOfMakers(file);
  const add = (reasons: readonly string[], message: Node | null | undefined, notify?: string) => {
    for (const reason of reasons) {
      const here = `${file.path} ${reason}`;
      if (!/^[A-Z][A-Za-z]+$/.test(reason) || NEVER_LOGGED.has(here)) continue;
      found.push({ reason: RENAMED[here] ?? reason, message: textOf(message), notify });
    }
  };
  new Visitor({
    CallExpression({ callee, arguments: given }) {
      if (callee.type !== "Identifier" || !REFUSING.has(callee.name)) return;
      const notify = given.map(notifyName).find((name) => name !== undefined);
      const object = given.find((argument) => argument.type === "ObjectExpression");
      if (object !== undefined && notify !== undefined) notifies.set(object, notify);
      const [reason, message] = given;
      const made = makers.get(callee.name);
      if (made === undefined) add(textsOf(reason), message);
      else for (const argument of given) add(textsOf(argument), made);
    },
    NewExpression({ callee, arguments: given }) {
      if (callee.type !== "Identifier" || callee.name !== "AuthSignatureError") return;
      const [reason, message] = given;
      add(textsOf(reason), message);
    },
    ObjectExpression(object) {
      const properties = propertiesOf(object);
      const message = properties.get("message");
      if (message === undefined) return;
      const notify = properties.get("notify");
      const told = notifies.get(object) ?? (notify && notifyName(notify));
      add(textsOf(properties.get("reason") ?? properties.get("name")), message, told);
    },
    // `case "Expired": return ...` and `if (refusal.reason === "CertificateRevoked") { ... return ... }`
    SwitchCase({ test, consequent }) {
      if (DESCRIBING.has(file.path)) add(textsOf(test), returned(consequent));
    },
    IfStatement({ test, consequent }) {
      if (!DESCRIBING.has(file.path) || test.type !== "BinaryExpression") return;
      add(textsOf(test.right), returned(consequent.type === "BlockStatement" ? consequent.body : [consequent]));
    },
    // { StatusStale: (who) => ... }
    Property({ key, value }) {
      if (!DESCRIBING.has(file.path) || key.type !== "Identifier" || value.type !== "ArrowFunctionExpression") return;
      add([key.name], value.body);
    },
  }).visit(file.program);
  return found;
}

/** Functions that make a refusal of a reason given to them, with the message they give it. */
function messagesOfMakers(file: SourceFile): Map<string, Node> {
  const makers = new Map<string, Node>();
  let name: string | undefined;
  new Visitor({
    FunctionDeclaration({ id }) {
      name = id?.name;
    },
    ObjectExpression(object) {
      const properties = propertiesOf(object);
      const message = properties.get("message");
      const reason = properties.get("reason");
      if (name !== undefined && MAKING.has(name) && reason?.type === "Identifier" && message !== undefined)
        makers.set(name, message);
    },
  }).visit(file.program);
  return makers;
}

/** What the last of these statements returns. */
function returned(statements: readonly Node[]): Node | null | undefined {
  const last = statements.at(-1);
  return last?.type === "ReturnStatement" ? last.argument : undefined;
}

/** "AUTHENTICATION_FAILED" of `NotifyType.AUTHENTICATION_FAILED`. */
function notifyName(node: Node): string | undefined {
  if (node.type !== "MemberExpression" || node.object.type !== "Identifier" || node.object.name !== "NotifyType")
    return undefined;
  return node.property.type === "Identifier" ? node.property.name : undefined;
}

function empty(reason: string): Found {
  return { reason, sides: new Set(), messages: new Set(), notifies: new Set(), sources: new Set() };
}

const BOTH = ["segw", "henb"] as const;
const TLS = ["hems", "management"] as const;

/** A file that is named goes before the folder it lies in. */
const PLACES: readonly { path: string; sides: readonly Side[] }[] = [
  { path: "src/segw", sides: ["segw"] },
  { path: "src/henb", sides: ["henb"] },
  { path: "src/henb/management.ts", sides: ["management"] },
  { path: "src/henb/managementSession.ts", sides: ["management"] },
  { path: "src/henb/openManagement.ts", sides: ["management"] },
  { path: "src/ike", sides: BOTH },
  { path: "src/ike/sa/responder.ts", sides: ["segw"] },
  { path: "src/ike/sa/eapRelay.ts", sides: ["segw"] },
  { path: "src/ike/sa/initiator.ts", sides: ["henb"] },
  { path: "src/ike/sa/hostingPartyRound.ts", sides: ["henb"] },
  { path: "src/ipsec", sides: BOTH },
  { path: "src/tre", sides: BOTH },
  { path: "src/tre/inBandStatus.ts", sides: [...BOTH, "management"] },
  { path: "src/tre/integrityReport.ts", sides: ["segw"] },
  { path: "src/tre/peerPath.ts", sides: [...BOTH, ...TLS] },
  { path: "src/tre/peerProfile.ts", sides: [...BOTH, ...TLS] },
  { path: "src/tre/tlsPeer.ts", sides: TLS },
  { path: "src/trust/pathRefusal.ts", sides: [...BOTH, ...TLS] },
  { path: "src/trust/statusAnswer.ts", sides: ["segw", ...TLS] },
];

/** Files that turn a refusal into a sentence. */
const DESCRIBING: ReadonlySet<string> = new Set(["src/trust/pathRefusal.ts", "src/trust/statusAnswer.ts"]);

/** Reasons of shared code that only one side can come to. */
const SIDES: Readonly<Record<string, readonly Side[]>> = {
  // Whoever answers does not connect to a name.
  NameMismatch: ["henb", "management"],
  // A device does not judge itself.
  IdentityNotFqdn: ["segw", "hems"],
  NoAaaServer: ["segw"],
  NoHostingParty: ["henb"],
  PeerUnresponsive: ["henb"],
  UnsupportedCriticalPayload: ["segw"],
};

/** What stands in the code and in no role's log, by file and reason. */
const NEVER_LOGGED: ReadonlySet<string> = new Set([
  // Nobody asks a device for an address; it stands there because the question has to be answered.
  "src/henb/device.ts NotAGateway",
  "src/henb/load.ts NotAGateway",
  // The session ends because the tunnel or the device does, which is logged as such.
  "src/henb/managementSession.ts HemsCancelled",
  // Of paths that are validated with a name or with CRLs; the roles check both after the path.
  "src/trust/pathRefusal.ts NameMismatch",
  "src/trust/pathRefusal.ts Revoked",
  "src/trust/pathRefusal.ts StatusUndetermined",
]);

const MAKING: ReadonlySet<string> = new Set(["refusalOf"]);

const REFUSING: ReadonlySet<string> = new Set(["refuse", "untrusted", ...MAKING]);

/** What a verdict calls the reason that its cause has another name for (src/tre/peerVerifier.ts). */
const RENAMED: Readonly<Record<string, string>> = { "src/tre/authSignature.ts BadSignature": "WrongAuth" };
