/**
 * `make bench`: runs every benchmark, or those named, and prints what they measured with ratios.
 *
 *   node bench/main.ts [--json] [name ...]
 *
 * With --json each row is one JSON object a line. Exit status 1 if a benchmark could not run.
 */
import { parseArgs } from "node:util";
import { aaa } from "./aaa.ts";
import { type Bench, BenchUnavailable, type Row } from "./bench.ts";
import { crl } from "./crl.ts";
import { handshakes } from "./handshakes.ts";
import { ocsp } from "./ocsp.ts";
import { paths } from "./paths.ts";
import { formatTable, ratioToReference } from "./table.ts";

const BENCHES: readonly Bench[] = [handshakes, paths, crl, ocsp, aaa];

const { values, positionals } = parseArgs({ options: { json: { type: "boolean" } }, allowPositionals: true });
const unknown = positionals.filter((name) => !BENCHES.some((bench) => bench.name === name));
if (unknown.length > 0) {
  console.error(`No benchmark ${unknown.join(", ")}; there are: ${BENCHES.map((bench) => bench.name).join(", ")}`);
  process.exit(2);
}

for (const bench of BENCHES) {
  if (positionals.length > 0 && !positionals.includes(bench.name)) continue;
  try {
    print(bench.name, await bench.run());
  } catch (error) {
    if (!(error instanceof BenchUnavailable)) throw error;
    console.error(`${bench.name}: not run: ${error.message}`);
    process.exitCode = 1;
  }
}

function print(name: string, rows: readonly Row[]): void {
  if (values.json !== true) {
    console.log(`== ${name}\n\n${formatTable(rows)}\n`);
    return;
  }
  for (const row of rows) console.log(JSON.stringify({ bench: name, ...row, ratio: ratioToReference(row, rows) }));
}
