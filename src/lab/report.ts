/** What a person or a program sees of the lab: the ladder of messages, or one JSON object a line. */
import { type LadderEntry, type LadderStyle, ladderLines } from "../observe/ladder.ts";
import { type FlowResult, isAsExpected, type Summary } from "./flow.ts";

export interface Report {
  /** A stage of the lab itself, or what this machine does not allow. */
  notice(text: string): void;
  /** A record of a role, as it stands in the role's log. */
  record(record: Record<string, unknown>): void;
  /** A rung or a verdict of the ladder. */
  ladder(entry: LadderEntry): void;
  summary(summary: Summary): void;
  /** Writes out what is held back. */
  flush(): void;
}

/** One JSON object a line; the summary is the last. */
export function jsonReport(write: (text: string) => void): Report {
  const line = (object: unknown) => write(`${JSON.stringify(object)}\n`);
  return {
    notice: (text) => line({ event: "notice", text }),
    record: (record) => line(record),
    ladder: () => undefined,
    summary: (summary) => line(summary),
    flush: () => undefined,
  };
}

/**
 * The ladder for people. Roles are processes of their own, so their lines arrive a little out of order: entries wait a
 * moment and come out in the order of their time.
 */
export function textReport(write: (text: string) => void, style: LadderStyle): Report {
  const held: LadderEntry[] = [];
  let timer: NodeJS.Timeout | undefined;
  const print = (until: number) => {
    held.sort((a, b) => a.at - b.at);
    while (held[0] !== undefined && held[0].at <= until)
      for (const line of ladderLines(held.shift()!, style)) write(`${line}\n`);
  };
  const schedule = () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      print(Date.now() - HOLD);
      if (held.length > 0) schedule();
    }, HOLD);
  };
  const flush = () => {
    clearTimeout(timer);
    timer = undefined;
    print(Number.POSITIVE_INFINITY);
  };
  return {
    notice(text) {
      flush();
      write(`${text}\n`);
    },
    record: () => undefined,
    ladder(entry) {
      held.push(entry);
      schedule();
    },
    summary(summary) {
      flush();
      write(`\n${summaryTable(summary)}\n`);
    },
    flush,
  };
}

function summaryTable({ flows, leftOut, ok }: Summary): string {
  const head = ["flow", "device", "expected", "result", "status", "address", "ping"];
  const rows = flows.map((flow) => [
    flow.flow,
    flow.device,
    flow.expected,
    `${flow.result}${flow.reason === "" ? "" : ` (${flow.reason})`}${isAsExpected(flow) ? "" : `  <-- not as expected${flow.expectedReason === undefined ? "" : ` (${flow.expectedReason})`}`}`,
    [flow.ocsp, flow.eap ?? ""].filter((text) => text !== "").join(", "),
    flow.address || "-",
    pingText(flow),
  ]);
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)));
  const lines = [head, ...rows].map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd(),
  );
  const left = leftOut.map((text) => `Left out: ${text}`);
  return [...lines, "", ...left, ok ? "Every flow ended as expected." : "Not every flow ended as expected."].join("\n");
}

function pingText({ ping }: FlowResult): string {
  return ping === undefined ? "-" : `${ping.received}/${ping.sent} from ${ping.target}`;
}

/** Milliseconds. */
const HOLD = 120;
