/** One query to an OCSP responder over HTTP, on a connection of its own. */
import type { Bytes } from "../../src/bytes/bytes.ts";
import { describeFetchProblem } from "../../src/revocation/fetching.ts";
import { HttpExchanger } from "../../src/revocation/httpExchange.ts";
import { HttpOcspTransport, type OcspMethod, ocspLimits } from "../../src/revocation/ocspTransport.ts";

/** The DER response; throws what kept it from coming. */
export async function askOcsp(url: string, request: Bytes, method: OcspMethod = "post"): Promise<Bytes> {
  using exchanger = new HttpExchanger({ keepAlive: false });
  const fetched = await new HttpOcspTransport(exchanger, ocspLimits(TIME_LIMIT)).ask(url, request, method);
  if (!fetched.ok) throw new Error(`${url} ${describeFetchProblem(fetched.problem)}`);
  return fetched.der;
}

/** Milliseconds. */
const TIME_LIMIT = 10_000;
