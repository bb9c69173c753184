/** A small file that is either the old or the new one after a crash, and the new one once `replaceFile` has returned. */
import { open, rename } from "node:fs/promises";
import { dirname } from "node:path";

/** Writes beside the file, forces it to the disk, renames it over, and forces the folder. The file has mode 0600. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const beside = `${path}.new`;
  const file = await open(beside, "w", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(beside, path);
  const folder = await open(dirname(path), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
