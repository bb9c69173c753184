/** The verdicts of both validators on the same chains. */
import { describePathRefusal, validatePath } from "../../../../src/trust/path.ts";
import { Oid } from "../../../../src/x509/oids.ts";
import { toPem } from "../../../../src/x509/pem.ts";
import { NOW } from "../../../x509/made.ts";
import type { OpenSsl } from "../openssl.ts";
import type { Chain } from "./chain.ts";

/** `why` is empty for a valid chain. */
export interface Opinion {
  valid: boolean;
  why: string;
}

export function ourOpinion({ root, sent, leaf, crls, options }: Chain): Opinion {
  const verdict = validatePath({
    leaf,
    intermediates: sent,
    anchors: [root],
    time: NOW,
    purpose: options.server ? "tlsServer" : "any",
    policies: options.policies,
    ...(crls === undefined ? {} : { crls }),
    maxPath: 8,
    allowWeakAlgorithms: false,
  });
  return verdict.valid ? { valid: true, why: "" } : { valid: false, why: describePathRefusal(verdict.refusal) };
}

/**
 * `openssl verify` on all chains: one process for as many as want the same options, given all their roots, CAs and CRLs
 * together. No chain's names occur in another, so that what belongs to others does not matter.
 */
export function theirOpinions(openssl: OpenSsl, chains: readonly Chain[]): Opinion[] {
  const opinions = new Map<Chain, Opinion>();
  for (const [options, alike] of Map.groupBy(chains, optionsOf))
    for (let from = 0; from < alike.length; from += BATCH)
      for (const [chain, opinion] of verifyBatch(openssl, options, alike.slice(from, from + BATCH)))
        opinions.set(chain, opinion);
  return chains.map((chain) => opinions.get(chain)!);
}

function verifyBatch(openssl: OpenSsl, options: string, batch: readonly Chain[]): [Chain, Opinion][] {
  const files = batch.map(({ leaf }, at) => openssl.writeCertificates(`${at}.pem`, leaf));
  const crls = batch.flatMap(({ crls = [] }) => crls);
  const { output } = openssl.try(
    "verify",
    ...["-attime", `${NOW / 1000}`, "-auth_level", "2"],
    ...["-CAfile", openssl.writeCertificates("roots.pem", ...batch.map(({ root }) => root))],
    ...["-untrusted", openssl.writeCertificates("sent.pem", ...batch.flatMap(({ sent }) => sent))],
    ...(crls.length === 0
      ? []
      : ["-CRLfile", openssl.write("crls.pem", crls.map(({ der }) => toPem("X509 CRL", der)).join(""))]),
    ...options.split(" ").filter((option) => option !== ""),
    ...files,
  );
  return batch.map((chain, at) => {
    const valid = output.includes(`\n${files[at]}: OK\n`) || output.startsWith(`${files[at]}: OK\n`);
    const said = new RegExp(`^error (\\d+ at \\d+ depth lookup: .*)\\nerror ${at}\\.pem: `, "m").exec(output);
    return [chain, { valid, why: valid ? "" : (said?.[1] ?? "refused") }];
  });
}

function optionsOf({ options, crls }: Chain): string {
  const { acceptable = [Oid.anyPolicy], requireExplicit, inhibitMapping, inhibitAny } = options.policies;
  return [
    ...(options.server ? ["-purpose", "sslserver"] : []),
    ...(crls === undefined ? [] : ["-crl_check_all", "-extended_crl", "-use_deltas"]),
    ...(options.policyCheck ? ["-policy_check", ...acceptable.flatMap((policy) => ["-policy", policy])] : []),
    ...(requireExplicit === true ? ["-explicit_policy"] : []),
    ...(inhibitMapping === true ? ["-inhibit_map"] : []),
    ...(inhibitAny === true ? ["-inhibit_any"] : []),
  ].join(" ");
}

/** Chains of one process: it looks for each issuer among all certificates, one after the other. */
const BATCH = 150;
