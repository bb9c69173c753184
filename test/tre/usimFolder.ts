/** Folders of software USIMs for tests, removed when the process ends. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const USIM = {
  imsi: "001010123456789",
  k: "465b5ce8b199b49faa5f0a2ee238a6bc",
  opc: "cd63cb71954a9f4e48a5994e37a02baf",
} as const;

const MILENAGE = `imsi: "${USIM.imsi}"
algorithm: { name: milenage, k: ${USIM.k}, opc: ${USIM.opc} }
`;

/** A folder with this usim.yaml and, where given, this sqn.json. */
export function usimFolder(card = MILENAGE, state?: string): string {
  const folder = mkdtempSync(join(tmpdir(), "usim-"));
  if (folders.push(folder) === 1)
    process.once("exit", () => {
      for (const one of folders) rmSync(one, { recursive: true, force: true });
    });
  writeFileSync(join(folder, "usim.yaml"), card);
  if (state !== undefined) writeFileSync(join(folder, "sqn.json"), state);
  return folder;
}

const folders: string[] = [];
