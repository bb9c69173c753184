/** What a benchmark is: a name, and a run that answers with rows to compare. */

/** One measured figure. */
export interface Row {
  /** What is measured and under which conditions: rows with the same text are compared with each other. */
  measure: string;
  /** What it was measured on: "charon 5.9.8", "femtogate segw". */
  subject: string;
  value: number;
  unit: string;
  /** The one row of a measure that the others are put in ratio to. */
  reference?: boolean;
  /** What a reader must know to judge the figure. */
  note?: string;
}

export interface Bench {
  name: string;
  run(): Promise<Row[]>;
}

/** This machine lacks what a benchmark needs; `message` says what, and what to do. */
export class BenchUnavailable extends Error {
  override readonly name = "BenchUnavailable";
}

/** The middle value; the mean of the two middle ones for an even count. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
