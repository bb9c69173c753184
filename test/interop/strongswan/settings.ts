/** strongSwan's settings syntax (strongswan.conf and swanctl.conf): nested sections of `name = value`. */

/** A section; `undefined` values are left out, lists are written with commas. */
export interface Settings {
  [name: string]: string | number | boolean | readonly string[] | Settings | undefined;
}

/** The text of a settings file with these sections. */
export function formatSettings(settings: Settings, indent = ""): string {
  const lines: string[] = [];
  for (const [name, value] of Object.entries(settings)) {
    if (value === undefined) continue;
    if (isSection(value)) {
      lines.push(`${indent}${name} {`, formatSettings(value, `${indent}  `), `${indent}}`);
    } else {
      lines.push(`${indent}${name} = ${scalar(value)}`);
    }
  }
  return lines.join("\n");
}

function isSection(value: Settings[string]): value is Settings {
  return typeof value === "object" && !Array.isArray(value);
}

function scalar(value: string | number | boolean | readonly string[] | Settings): string {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.join(", ");
  return String(value);
}
