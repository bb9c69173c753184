/** The thread that makes large CRLs ready: one job in, one outcome out, buffers handed over both ways. */
import { parentPort } from "node:worker_threads";
import { systemEnvironment } from "../sim/system.ts";
import { type CrlSigner, type LoadOutcome, loadCrl } from "./crlLoading.ts";

export interface CrlJob {
  id: number;
  segments: readonly Uint8Array<ArrayBuffer>[];
  signers: readonly CrlSigner[];
}

export interface CrlJobDone {
  id: number;
  outcome: LoadOutcome;
}

parentPort?.on("message", ({ id, segments, signers }: CrlJob) => {
  const outcome = loadCrl(segments, signers, systemEnvironment.random);
  const done: CrlJobDone = { id, outcome };
  const transfer = outcome.ok ? [outcome.der.buffer as ArrayBuffer, outcome.table.slots.buffer] : [];
  parentPort?.postMessage(done, transfer);
});
