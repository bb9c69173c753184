/** The certificates and the stapled OCSP response that a TLS server shows. */
import { isIP } from "node:net";
import { connect } from "node:tls";
import type { Bytes } from "../../bytes/bytes.ts";
import { sentChain } from "../../http/tlsProfile.ts";
import { addBag, emptyMaterial, type Material, UnreachableHost } from "./material.ts";

export interface LiveTarget {
  host: string;
  port: number;
}

/** What the client shows a server that asks for a certificate, PEM. */
export interface ClientCredentials {
  certificates: string;
  key: string;
}

/** Connects, looks, and closes; nothing is trusted on the way. Throws UnreachableHost. */
export async function readLiveTls(
  { host, port }: LiveTarget,
  credentials: ClientCredentials | undefined,
): Promise<Material> {
  const origin = `tls://${host}:${port}`;
  const { chain, staple } = await handshake({ host, port }, credentials).catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error);
    const hint = /certificate required|handshake failure/i.test(why)
      ? "; it may want a certificate: --cert and --key"
      : "";
    throw new UnreachableHost(`${origin}: ${why}${hint}`);
  });
  const material = emptyMaterial();
  addBag({ certificates: chain, crls: [] }, origin, material, "hems");
  if (staple !== undefined) material.ocspResponses.push({ item: staple, origin: `${origin} stapled` });
  return material;
}

function handshake(
  { host, port }: LiveTarget,
  credentials: ClientCredentials | undefined,
): Promise<{ chain: Bytes[]; staple: Bytes | undefined }> {
  return new Promise((resolve, reject) => {
    let staple: Bytes | undefined;
    const socket = connect({
      host,
      port,
      ...(isIP(host) === 0 ? { servername: host } : {}),
      // Whatever it shows is judged afterwards; no root is lent to complete its chain.
      rejectUnauthorized: false,
      ca: [],
      requestOCSP: true,
      minVersion: "TLSv1.2",
      ...(credentials === undefined ? {} : { cert: credentials.certificates, key: credentials.key }),
    });
    socket.setTimeout(TIMEOUT, () => socket.destroy(new Error(`no answer within ${TIMEOUT} ms`)));
    socket.on("OCSPResponse", (response: Bytes | null) => {
      staple = response === null || response.length === 0 ? undefined : response;
    });
    socket.on("error", reject);
    socket.on("secureConnect", () => {
      resolve({ chain: sentChain(socket), staple });
      socket.destroy();
    });
  });
}

/** Milliseconds. */
const TIMEOUT = 10_000;
