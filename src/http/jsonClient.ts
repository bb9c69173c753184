/** Posts a JSON object and reads the JSON answer, with a time limit and a size limit. */

/** A server that could not be reached or gave no JSON. */
export class JsonPostError extends Error {
  override readonly name = "JsonPostError";
}

/** The parsed answer of a POST, undefined for an empty one; throws JsonPostError. Redirections are not followed. */
export async function postJson(url: string, body: object): Promise<unknown> {
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      redirect: "error",
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    if (!response.ok) throw new JsonPostError(`${url}: HTTP status ${response.status}`);
    const text = await readBounded(response, url);
    return text === "" ? undefined : (JSON.parse(text) as unknown);
  } catch (error) {
    if (error instanceof JsonPostError) throw error;
    throw new JsonPostError(`${url}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

async function readBounded(response: Response, url: string): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of response.body ?? []) {
    length += part.length;
    if (length > MAX_ANSWER) throw new JsonPostError(`${url}: answers more than ${MAX_ANSWER} octets`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

const LIMIT_MS = 5_000;
/** Octets. */
const MAX_ANSWER = 65_536;
