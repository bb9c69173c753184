/**
 * The secure-boot check: a manifest of the device's files, signed by the manufacturer, against what is on disk
 * (TS 33.320 5.2-3, A.1-1).
 *
 * Files that no manifest lists are not measured: the device runs nothing else.
 */
import { createHash, type KeyObject, sign, verify } from "node:crypto";
import type { Bytes } from "../bytes/bytes.ts";
import type { Integrity } from "./trustedEnvironment.ts";

/**
 * Text of a signed manifest: one JSON object with the manifest as text and its signature in base64. Paths are relative
 * to the device's root folder, with "/" between their parts; throws RangeError for another kind.
 */
export function signManifest(files: ReadonlyMap<string, Bytes>, key: KeyObject): string {
  for (const path of files.keys())
    if (!isBelowRoot(path)) throw new RangeError(`"${path}" is no path below the device's root folder`);
  const manifest: Manifest = {
    files: Object.fromEntries([...files].map(([path, content]) => [path, digest(content)])),
  };
  const text = JSON.stringify(manifest);
  return `${JSON.stringify({ manifest: text, signature: sign("sha256", Buffer.from(text), key).toString("base64") }, null, 2)}\n`;
}

/**
 * Measures every file that the manifest lists; `read` gives undefined for a file that is missing or no file. It is asked
 * for relative paths without "..": what a manifest says of files elsewhere is refused, whoever signed it.
 */
export function checkManifest(text: string, key: KeyObject, read: (path: string) => Bytes | undefined): Integrity {
  const manifest = openManifest(text, key);
  if ("problem" in manifest) return { intact: false, problems: [manifest.problem] };
  const problems = Object.entries(manifest.files).flatMap(([path, expected]) => {
    if (!isBelowRoot(path)) return [`${JSON.stringify(path)} is no path below the device's root folder`];
    const content = read(path);
    if (content === undefined) return [`${path} is missing`];
    return digest(content) === expected ? [] : [`${path} has been changed`];
  });
  return { intact: problems.length === 0, problems };
}

/** SHA-256 of each file, hexadecimal, by its path below the device's root folder. */
interface Manifest {
  files: Record<string, string>;
}

/** The manifest once its signature has verified, or what is wrong with it. */
function openManifest(text: string, key: KeyObject): Manifest | { problem: string } {
  const outer = parseObject(text);
  if (outer === undefined) return { problem: "the manifest is no JSON object" };
  const { manifest, signature } = outer;
  if (typeof manifest !== "string" || typeof signature !== "string")
    return { problem: 'the manifest must hold the texts "manifest" and "signature"' };
  if (!verifies(key, Buffer.from(manifest), Buffer.from(signature, "base64")))
    return { problem: "the manifest's signature does not verify under the manufacturer's key" };
  const files = parseObject(manifest)?.files;
  if (!isRecord(files) || !Object.values(files).every((value) => typeof value === "string"))
    return { problem: 'the signed manifest must hold "files", an object of SHA-256 digests by path' };
  // Nothing measured is nothing known.
  if (Object.keys(files).length === 0) return { problem: "the signed manifest lists no file" };
  return { files: files as Record<string, string> };
}

function verifies(key: KeyObject, signed: Bytes, signature: Bytes): boolean {
  try {
    return verify("sha256", signed, key, signature);
  } catch {
    // A key of a kind that signs no SHA-256 digest.
    return false;
  }
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Relative, and every part of it a name: not empty, not "." or "..", without octets that end or split paths elsewhere. */
function isBelowRoot(path: string): boolean {
  return path.split("/").every((part) => part !== "" && part !== "." && part !== ".." && !/[\0\\]/.test(part));
}

function digest(content: Bytes): string {
  return createHash("sha256").update(content).digest("hex");
}
