/**
 * The secure-boot check: a manifest of the device's files, signed by the manufacturer, against what is on disk
 * (TS 33.320 5.2-3, A.1-1).
 */
import { createHash, type KeyObject, sign, verify } from "node:crypto";
import type { Bytes } from "../bytes/bytes.ts";
import type { Integrity } from "./trustedEnvironment.ts";

/** SHA-256 of each file by its path below the device's root folder. */
export interface Manifest {
  files: Record<string, string>;
}

/** Text of a signed manifest: one JSON object with the manifest as text and its signature in base64. */
export function signManifest(files: ReadonlyMap<string, Bytes>, key: KeyObject): string {
  const manifest: Manifest = {
    files: Object.fromEntries([...files].map(([path, content]) => [path, digest(content)])),
  };
  const text = JSON.stringify(manifest);
  return `${JSON.stringify({ manifest: text, signature: sign("sha256", Buffer.from(text), key).toString("base64") }, null, 2)}\n`;
}

/** Measures every file that the manifest lists; `read` gives undefined for a file that is missing. */
export function checkManifest(text: string, key: KeyObject, read: (path: string) => Bytes | undefined): Integrity {
  let manifest: Manifest;
  try {
    const outer = JSON.parse(text) as { manifest?: unknown; signature?: unknown };
    if (typeof outer.manifest !== "string" || typeof outer.signature !== "string")
      return broken("the manifest is not in its form");
    if (!verify("sha256", Buffer.from(outer.manifest), key, Buffer.from(outer.signature, "base64")))
      return broken("the manifest's signature does not verify");
    manifest = JSON.parse(outer.manifest) as Manifest;
  } catch {
    return broken("the manifest cannot be read");
  }
  const problems: string[] = [];
  for (const [path, expected] of Object.entries(manifest.files)) {
    const content = read(path);
    if (content === undefined) problems.push(`${path} is missing`);
    else if (digest(content) !== expected) problems.push(`${path} has been changed`);
  }
  return { intact: problems.length === 0, problems };
}

function digest(content: Bytes): string {
  return createHash("sha256").update(content).digest("hex");
}

function broken(problem: string): Integrity {
  return { intact: false, problems: [problem] };
}
