/** The project's Markdown files, and what tests look for in them. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../scripts/reference/sources.ts";

export interface CodeBlock {
  /** What stands behind the backticks. */
  language: string;
  text: string;
}

/** Paths from the root of all Markdown files, without those of dependencies. */
export function markdownFiles(): string[] {
  return readdirSync(ROOT, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".md") && !/(^|\/)(node_modules|\.[^/]+)\//.test(path))
    .sort();
}

export function readMarkdown(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

export function codeBlocks(markdown: string): CodeBlock[] {
  return [...markdown.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language, text]) => ({
    language: language!,
    text: text!,
  }));
}

/** Targets of links and pictures outside of code. */
export function links(markdown: string): string[] {
  return [...withoutCode(markdown).matchAll(/\]\(([^()\s]+)\)/g)].map(([, target]) => target!);
}

/** Names that links can jump to, as GitHub makes them of headings. */
export function anchors(markdown: string): string[] {
  return [...withoutCode(markdown, "text").matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

/** The first column's code words of the table below a heading. */
export function tableWords(markdown: string, heading: string): string[] {
  const section = markdown.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? "";
  const rows = section.split("\n").filter((line) => line.startsWith("| `"));
  return rows.flatMap((row) => [...row.split("|")[1]!.matchAll(/`(\w+)`/g)].map(([, word]) => word!));
}

/** Lines of a shell that blocks and running text show, each with its continuation lines. */
export function shellCommands(markdown: string): string[] {
  const commands: string[] = [];
  for (const { language, text } of codeBlocks(markdown)) {
    const whole = text.replace(/\\\n\s*/g, "");
    for (const line of whole.split("\n")) {
      if (language === "sh") commands.push(line);
      else if (line.startsWith("$ ")) commands.push(line.slice(2));
    }
  }
  const prose = markdown.replace(/^```[\s\S]*?^```$/gm, "");
  return [...commands, ...[...prose.matchAll(/`([^`\n]+)`/g)].map(([, inline]) => inline!)];
}

function withoutCode(markdown: string, inline: "text" | "gone" = "gone"): string {
  const prose = markdown.replace(/^```[\s\S]*?^```$/gm, "");
  return inline === "text" ? prose : prose.replace(/`[^`\n]*`/g, "");
}
