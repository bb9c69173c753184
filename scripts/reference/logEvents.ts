/**
 * The events that roles log, as they stand in the code: `log.info({ event: "attached", ... }, text)` and the records that
 * src/ipsec/eventRecord.ts makes of IKE's events.
 */
import { type Expression, type Node, Visitor } from "oxc-parser";
import type { SourceFile } from "../tidy/tree.ts";
import { propertiesOf, sourcesAt, textOf } from "./sources.ts";

export interface LogEvent {
  event: string;
  level: string;
  /** For people, with an ellipsis for what differs; undefined where code elsewhere makes it. */
  text: string | undefined;
  /** What else stands in the record. */
  members: readonly string[];
}

/** All events, in order of name; one that several roles log alike stands once. */
export function logEvents(): LogEvent[] {
  const found = PLACES.flatMap(sourcesAt).flatMap(eventsIn);
  const different = new Map(found.map((event) => [JSON.stringify(event), event]));
  return [...different.values()].sort((a, b) => (a.event < b.event ? -1 : 1));
}

function eventsIn(file: SourceFile): LogEvent[] {
  const found: LogEvent[] = [];
  const records = new Map<string, Node>();
  const add = (record: Node | undefined, level: string | undefined, text: Expression | undefined) => {
    const properties = propertiesOf(record);
    const event = textOf(properties.get("event"));
    if (event === undefined || level === undefined) return;
    const members = [...properties.keys()].filter((name) => name !== "event");
    found.push({ event, level, text: textOf(text), members });
  };
  new Visitor({
    // Visited before the object that names it, as it stands above that.
    VariableDeclarator({ id, init }) {
      if (id.type === "Identifier" && init?.type === "ObjectExpression") records.set(id.name, init);
    },
    CallExpression({ callee, arguments: given }) {
      if (callee.type !== "MemberExpression" || callee.property.type !== "Identifier") return;
      const [record, text] = given;
      if (!LEVELS.has(callee.property.name) || record?.type !== "ObjectExpression") return;
      add(record, callee.property.name, text?.type === "SpreadElement" ? undefined : text);
    },
    ObjectExpression(object) {
      const properties = propertiesOf(object);
      const record = properties.get("record");
      if (record === undefined) return;
      const literal = record.type === "Identifier" ? records.get(record.name) : record;
      // Messages that passed are logged at one level, wherever they come from.
      add(literal, textOf(properties.get("level")) ?? "info", properties.get("text"));
    },
  }).visit(file.program);
  return found;
}

const PLACES = [
  "src/segw",
  "src/henb",
  "src/hems",
  "src/aaa",
  "src/ipsec",
  "src/revocation",
  "src/diameter/transport",
  "src/radius/transport",
] as const;

const LEVELS: ReadonlySet<string> = new Set(["debug", "info", "warn", "error"]);
