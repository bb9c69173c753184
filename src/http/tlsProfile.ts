/**
 * TLS as H(e)NB and H(e)MS speak it (TS 33.310 Annex E, RFC 9325): versions 1.2 and 1.3, forward secrecy and AEAD only.
 *
 * Left out, though older releases of Annex E name them: CBC suites, RSA key transport and finite-field groups; SHA-1
 * signatures; compression and renegotiation, which OpenSSL is told to refuse.
 */
import { constants } from "node:crypto";
import type { DetailedPeerCertificate, TLSSocket } from "node:tls";
import type { Bytes } from "../bytes/bytes.ts";

/** For both sides; suites, groups and signatures in order of preference. */
export const TLS_PROFILE = {
  maxVersion: "TLSv1.3",
  ciphers: [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
  ].join(":"),
  ecdhCurve: "X25519:P-256:P-384",
  sigalgs: [
    "ecdsa_secp256r1_sha256",
    "ecdsa_secp384r1_sha384",
    "ecdsa_secp521r1_sha512",
    "rsa_pss_rsae_sha256",
    "rsa_pss_rsae_sha384",
    "rsa_pss_rsae_sha512",
    "rsa_pkcs1_sha256",
    "rsa_pkcs1_sha384",
    "rsa_pkcs1_sha512",
  ].join(":"),
  secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
} as const;

/** The least version that a configuration may name. */
export const TLS_VERSIONS = ["TLSv1.2", "TLSv1.3"] as const;

/**
 * DER certificates that the peer sent and that issued each other, its own first, at most 16; none if it sent none. Of a
 * session that is resumed its own alone is left, since TLS keeps no more in a session.
 */
export function sentChain(socket: TLSSocket): Bytes[] {
  const chain: Bytes[] = [];
  let next: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  while (next?.raw !== undefined && chain.length < MAX_CHAIN && !chain.some((der) => der.equals(next!.raw))) {
    chain.push(next.raw);
    next = next.issuerCertificate;
  }
  return chain;
}

const MAX_CHAIN = 16;
