/** Rows of benchmarks as text for people: one block per measure, each row with its ratio to the reference. */
import type { Row } from "./bench.ts";

/** The table; ratios are value divided by the reference's value. */
export function formatTable(rows: readonly Row[]): string {
  const blocks = Map.groupBy(rows, (row) => row.measure);
  return [...blocks].map(([measure, block]) => formatBlock(measure, block)).join("\n\n");
}

/** A row's value in units of the reference of its measure; undefined where there is none. */
export function ratioToReference(row: Row, rows: readonly Row[]): number | undefined {
  const reference = rows.find((other) => other.measure === row.measure && other.reference === true);
  return reference === undefined || reference.value === 0 ? undefined : row.value / reference.value;
}

function formatBlock(measure: string, block: readonly Row[]): string {
  const width = Math.max(...block.map((row) => row.subject.length));
  const lines = block.map((row) => {
    const ratio = ratioToReference(row, block);
    const ratioText = ratio === undefined ? "" : `${ratio.toFixed(2)}x`;
    const value = `${formatValue(row.value).padStart(10)} ${row.unit.padEnd(14)}`;
    return `  ${row.subject.padEnd(width)} ${value} ${ratioText.padStart(7)}${row.note ? `  (${row.note})` : ""}`;
  });
  return [measure, ...lines].join("\n");
}

function formatValue(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(digits);
}
