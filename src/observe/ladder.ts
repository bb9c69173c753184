/**
 * The ladder of messages a person sees while the roles talk: who tells whom what, and the verdicts in between.
 *
 * An entry becomes lines at once and alone, so that the ladder can be printed as messages pass, many devices mixed; that
 * is why both names stand on each rung. Whoever is nearer to the device stands left, so an arrow to the right goes up
 * into the network. What is said in a message stands under its arrow, wrapped to the terminal.
 *
 * Rejected: one lifeline per role across the screen, which leaves IKE's payloads no room at 80 columns, and says which
 * device only by counting bars.
 */
import type { Milliseconds } from "../sim/environment.ts";

/** A message of any protocol. */
export interface LadderMessage {
  kind: "message";
  at: Milliseconds;
  /** Names of the two parties, e.g. "ap-0001.example", "segw.example", "AAA". */
  from: string;
  to: string;
  /** "IKEv2", "EAP", "Diameter", "HTTP". */
  protocol: string;
  /** What it is: "IKE_AUTH request 1", "GET /crl/device.crl", "DEA 2001". */
  title: string;
  /** What it carries, one text an item; broken between items where that is possible. */
  details: readonly string[];
  /** Octets and datagrams it took, where they matter. */
  octets?: number;
  datagrams?: number;
}

/** What a party concluded or did between messages. */
export interface LadderNote {
  kind: "note";
  at: Milliseconds;
  /** Whose conclusion it is. */
  who: string;
  verdict: "good" | "bad" | "doubtful" | "neutral";
  text: string;
  details: readonly string[];
}

export type LadderEntry = LadderMessage | LadderNote;

export interface LadderStyle {
  /** Columns of the terminal; less than 60 is taken for 60. */
  width: number;
  unicode: boolean;
  /** ANSI colours; the caller respects NO_COLOR. */
  colour: boolean;
  /** Time shown as 0.000. */
  start: Milliseconds;
  /** Parties from the network's edge inwards ("segw.example", "AAA", "HSS"); who is not named is a device, leftmost. */
  inwards: readonly string[];
}

/** The lines of one entry, without line feeds. Control characters in any text are shown as "?". */
export function ladderLines(entry: LadderEntry, style: LadderStyle): string[] {
  const layout = layoutOf(style);
  return entry.kind === "message" ? messageLines(entry, layout) : noteLines(entry, layout);
}

/** What `ikeLadderMessage` needs of a message trace of an IKE endpoint. */
export interface TracedIkeMessage {
  direction: "sent" | "received";
  header: { exchangeType: number; response: boolean; messageId: number };
  payloads: readonly string[];
  /** Datagrams it took (RFC 7383). */
  fragments: number;
  bytes: number;
}

/** A rung for what an IKE endpoint, called `self`, sent to or received from `peer`. */
export function ikeLadderMessage(
  trace: TracedIkeMessage,
  parties: { self: string; peer: string },
  at: Milliseconds,
): LadderMessage {
  const { exchangeType, response, messageId } = trace.header;
  const exchange = EXCHANGES.get(exchangeType) ?? `exchange ${exchangeType}`;
  const sent = trace.direction === "sent";
  return {
    kind: "message",
    at,
    from: sent ? parties.self : parties.peer,
    to: sent ? parties.peer : parties.self,
    protocol: "IKEv2",
    title: `${exchange} ${response ? "response" : "request"} ${messageId}`,
    details: trace.payloads,
    octets: trace.bytes,
    datagrams: trace.fragments,
  };
}

interface Layout extends LadderStyle {
  nameWidth: number;
  glyphs: typeof UNICODE;
  paint: (colour: Colour, text: string) => string;
}

function layoutOf(style: LadderStyle): Layout {
  const width = Math.max(style.width, LEAST_WIDTH);
  return {
    ...style,
    width,
    nameWidth: Math.min(MAX_NAME, Math.floor(width / 5)),
    glyphs: style.unicode ? UNICODE : ASCII,
    paint: style.colour ? (colour, text) => `\x1b[${COLOURS[colour]}m${text}\x1b[0m` : (_, text) => text,
  };
}

function messageLines(message: LadderMessage, layout: Layout): string[] {
  const { nameWidth, glyphs, paint } = layout;
  const depth = (name: string) => layout.inwards.indexOf(name);
  const goesIn = depth(message.to) >= depth(message.from);
  const [left, right] = goesIn ? [message.from, message.to] : [message.to, message.from];
  const space = layout.width - TIME_WIDTH - 2 * nameWidth - 2;
  const full = `${message.protocol} ${message.title}`;
  const title = shown(widthOf(full) <= space - 6 ? full : message.title, layout, space - 6);
  const line = glyphs.line.repeat(space - widthOf(title) - 5);
  const arrow = goesIn
    ? `${paint("dim", glyphs.line)} ${paint("title", title)} ${paint("dim", line)}${glyphs.right}`
    : `${glyphs.left}${paint("dim", glyphs.line)} ${paint("title", title)} ${paint("dim", line)}`;
  const rightName = paint("name", shown(right, layout, nameWidth));
  const first = `${time(message.at, layout)} ${nameColumn(left, layout)} ${arrow} ${rightName}`;
  const size = sizeOf(message);
  return [first, ...under([...message.details, ...(size === undefined ? [] : [size])], layout, "dim")];
}

function noteLines(note: LadderNote, layout: Layout): string[] {
  const { glyphs, paint, nameWidth } = layout;
  const mark = paint(note.verdict, glyphs[note.verdict]);
  const room = layout.width - TIME_WIDTH - nameWidth - 4;
  const [first = "", ...more] = wrapped([note.text], room, layout);
  const indent = " ".repeat(TIME_WIDTH + nameWidth + 4);
  return [
    `${time(note.at, layout)} ${nameColumn(note.who, layout)} ${mark} ${paint(note.verdict, first)}`,
    ...more.map((line) => `${indent}${paint(note.verdict, line)}`),
    ...under(note.details, layout, "dim"),
  ];
}

function under(items: readonly string[], layout: Layout, colour: Colour): string[] {
  const indent = TIME_WIDTH + layout.nameWidth + 2;
  return wrapped(items, layout.width - indent - 2, layout).map(
    (line) => `${" ".repeat(indent)}${layout.paint(colour, `${layout.glyphs.bar} ${line}`)}`,
  );
}

/** Items joined and broken into lines of at most `room` columns, between items first, then between words, then anywhere. */
function wrapped(items: readonly string[], room: number, layout: Layout): string[] {
  const lines: string[] = [];
  let line = "";
  const add = (piece: string, joint: string) => {
    const joined = line === "" ? piece : `${line}${joint}${piece}`;
    if (widthOf(joined) <= room) {
      line = joined;
      return;
    }
    if (line !== "") lines.push(line.trimEnd());
    line = piece;
    while (widthOf(line) > room) {
      const head = cut(line, room);
      lines.push(head);
      line = line.slice(head.length);
    }
  };
  for (const item of items) {
    const text = clean(item, layout);
    if (widthOf(text) <= room) add(text, layout.glyphs.joint);
    else
      for (const [index, word] of text.split(/(?<=[ /|])/).entries()) add(word, index === 0 ? layout.glyphs.joint : "");
  }
  return line === "" ? lines : [...lines, line];
}

function time(at: Milliseconds, layout: Layout): string {
  const seconds = (at - layout.start) / 1000;
  // Milliseconds say nothing any more after hours, and would push the ladder to the right.
  return layout.paint("dim", seconds.toFixed(seconds < 9999 ? 3 : 0).padStart(TIME_WIDTH));
}

function sizeOf({ octets, datagrams }: LadderMessage): string | undefined {
  if (octets === undefined) return undefined;
  return datagrams === undefined || datagrams < 2 ? `${octets} octets` : `${octets} octets in ${datagrams} fragments`;
}

/** Text that fits `room` columns, its end left out where it must be. */
function shown(text: string, layout: Layout, room: number): string {
  const safe = clean(text, layout);
  return widthOf(safe) <= room ? safe : cut(safe, room - layout.glyphs.ellipsis.length) + layout.glyphs.ellipsis;
}

/** Names and payloads come from peers: nothing in them may move the cursor or turn the line round. */
function clean(text: string, { unicode }: Layout): string {
  return text.replace(unicode ? UNPRINTABLE : NOT_ASCII, "?");
}

function nameColumn(name: string, layout: Layout): string {
  const text = shown(name, layout, layout.nameWidth);
  return layout.paint("name", text) + " ".repeat(layout.nameWidth - widthOf(text));
}

/** The longest beginning of `text` that fits `room` columns, at least one character. */
function cut(text: string, room: number): string {
  let taken = "";
  let columns = 0;
  for (const { segment } of GRAPHEMES.segment(text)) {
    columns += widthOf(segment);
    if (columns > room && taken !== "") break;
    taken += segment;
  }
  return taken;
}

/** Columns that a terminal gives to a text: two for East Asian characters and emoji, none for combining marks. */
function widthOf(text: string): number {
  if (PLAIN.test(text)) return text.length;
  let columns = 0;
  for (const { segment } of GRAPHEMES.segment(text)) columns += WIDE.test(segment) ? 2 : 1;
  return columns;
}

type Colour = keyof typeof COLOURS;

const COLOURS = { dim: 2, title: 1, name: 36, good: 32, bad: 31, doubtful: 33, neutral: 0 } as const;

const UNICODE = {
  line: "─",
  left: "◀",
  right: "▶",
  bar: "│",
  joint: " · ",
  ellipsis: "…",
  good: "✔",
  bad: "✘",
  doubtful: "!",
  neutral: "•",
};
const ASCII: typeof UNICODE = {
  line: "-",
  left: "<",
  right: ">",
  bar: "|",
  joint: "; ",
  ellipsis: "..",
  good: "+",
  bad: "x",
  doubtful: "!",
  neutral: "*",
};

/** Exchange types of IANA's registry "IKEv2 Parameters". */
const EXCHANGES = new Map([
  [34, "IKE_SA_INIT"],
  [35, "IKE_AUTH"],
  [36, "CREATE_CHILD_SA"],
  [37, "INFORMATIONAL"],
  [38, "IKE_SESSION_RESUME"],
  [43, "IKE_INTERMEDIATE"],
]);

const LEAST_WIDTH = 60;
const MAX_NAME = 28;
const TIME_WIDTH = 8;
const PLAIN = /^[\x20-\x7e]*$/;
const NOT_ASCII = /[^\x20-\x7e]/gu;
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}]/gu;
const WIDE = /\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Hangul}|\p{Emoji_Presentation}/u;
const GRAPHEMES = new Intl.Segmenter("en");
