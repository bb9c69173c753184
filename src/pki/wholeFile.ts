/**
 * Files that are there whole or not at all, and still there after a loss of power.
 *
 * The content is written beside its place, flushed, and renamed; so a key never stands under the mode of a file that was
 * there before, and a process that dies half-way leaves the old content.
 */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Bytes } from "../bytes/bytes.ts";

/** Puts a file in its place; `mode` as for `open`, 0600 for whatever holds a private key. */
export function writeWholeFile(path: string, content: string | Bytes, mode: number): void {
  const partial = `${path}.${process.pid}.partial`;
  rmSync(partial, { force: true });
  try {
    const file = openSync(partial, "wx", mode);
    try {
      writeFileSync(file, content);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(partial, path);
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
  // The name itself is in the folder.
  const folder = openSync(dirname(path), "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
