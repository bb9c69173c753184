/**
 * What each role would do with the certificates: path, names, profile and in-band status by the code of the roles, then
 * revocation by the policy's rules, from its servers or from the files given in their place.
 */
import type { Bytes } from "../../bytes/bytes.ts";
import { parseIp } from "../../bytes/ip.ts";
import { fqdnIdentity, IdType } from "../../tre/identity.ts";
import { checkInBand } from "../../tre/inBandStatus.ts";
import { type VerifierPolicy, verifyCertificates } from "../../tre/peerVerifier.ts";
import { verifyTlsClient, verifyTlsServer } from "../../tre/tlsPeer.ts";
import type { Certificate } from "../../x509/certificate.ts";
import { namesOf } from "../../x509/extensions.ts";
import type { CheckReport, EndReport, Result } from "./judge.ts";
import type { RolePolicy, RoleWorld } from "./rolePolicy.ts";
import { describeRole, type RoleReport } from "./roleReport.ts";
import { roleStatus } from "./roleStatus.ts";

/** The report with what the roles would do, which decides where the check itself has nothing against an end. */
export async function withRoles(report: CheckReport, world: RoleWorld): Promise<CheckReport> {
  const ends: EndReport[] = [];
  for (const end of report.ends) {
    const roles: RoleReport[] = [];
    for (const policy of concerned(end, report, world)) roles.push(await judgeAs(policy, end, report, world));
    ends.push(combined(end, roles));
  }
  const results: Result[] = [report.result === "invalid" && !report.ends.some(isInvalid) ? "invalid" : "valid"];
  results.push(...ends.map(({ result }) => result));
  const worst = WORST_FIRST.find((result) => results.includes(result)) ?? "valid";
  return { ...report, ends, result: worst };
}

/** Roles that take this kind of certificate; where the file is one role's, whatever end entity it would be shown. */
function concerned(
  { certificate }: EndReport,
  { certificates }: CheckReport,
  { file }: RoleWorld,
): readonly RolePolicy[] {
  const kind = certificates.find(({ found }) => found.item === certificate)?.profile;
  const takers = file.roles.filter(({ takes }) => kind !== undefined && takes.includes(kind));
  if (takers.length > 0 || file.roles.length > 1) return takers;
  return certificate.extensions.basicConstraints?.ca === true ? [] : file.roles;
}

function combined(end: EndReport, roles: readonly RoleReport[]): EndReport {
  const [first] = roles;
  if (first === undefined || isInvalid(end)) return { ...end, roles };
  const worst = (["refuse", "undetermined"] as const).find((would) => roles.some((each) => each.would === would));
  const reasons = roles.filter(({ would }) => would === worst).map(describeRole);
  if (worst === undefined) return { ...end, roles, result: "valid", reasons: [] };
  return { ...end, roles, result: worst === "refuse" ? "invalid" : "undetermined", reasons };
}

function isInvalid({ result }: EndReport): boolean {
  return result === "invalid";
}

async function judgeAs(
  policy: RolePolicy,
  end: EndReport,
  { kinship }: CheckReport,
  world: RoleWorld,
): Promise<RoleReport> {
  const { role } = policy;
  const leaf = end.certificate;
  const undecided = (message: string) => ({ role, would: "undetermined", reason: undefined, message }) as const;
  const roots = world.anchors ?? policy.roots;
  if (roots.length === 0) return { ...undecided("no trusted roots are given; --trust FILE names them"), statuses: [] };
  const presented = [leaf, ...kinship.above(leaf)];
  const judge = policy.purpose === "ike" ? byIke : policy.purpose === "tlsClient" ? tlsClient : tlsServer;
  const verdict = judge(policy, presented, { ...world, roots });
  if (!verdict.valid) {
    const { reason, message } = verdict;
    // A file is no peer: what was not given might be sent.
    const mayCome = reason === "NoValidOcspResponse" && world.material.ocspResponses.length === 0;
    if (mayCome && kinship.ends.find(({ item }) => item === leaf)?.suggests === undefined)
      return {
        ...undecided("it wants an OCSP response in-band; --ocsp-response FILE or ike://HOST brings one"),
        statuses: [],
      };
    return { role, would: "refuse", reason, message, statuses: [] };
  }
  const { revocation } = policy;
  if (revocation === undefined || verdict.settled)
    return { role, would: "accept", reason: undefined, message: verdict.status, statuses: [] };
  return { role, ...(await roleStatus(verdict, { ...policy, revocation, roots }, world)) };
}

type JudgingWorld = RoleWorld & { roots: readonly Certificate[] };

type EntryVerdict =
  | {
      valid: true;
      path: readonly Certificate[];
      status: string;
      /** What came in-band leaves nothing to ask about. */
      settled: boolean;
    }
  | { valid: false; reason: string; message: string };

/** As SeGW and H(e)NB judge each other in IKE_AUTH, the proof of possession taken for granted. */
function byIke(policy: RolePolicy, presented: readonly Certificate[], world: JudgingWorld): EntryVerdict {
  const { identity, material, roots, clock } = world;
  const [leaf] = presented;
  const connectedTo = policy.connectsTo ?? identity;
  const [certified = ""] = namesOf(leaf!.extensions.subjectAltName);
  const claim = policy.name === "claimed" ? (identity ?? certified) : certified;
  const verifier: VerifierPolicy = {
    clock,
    roots,
    maxPath: MAX_PATH,
    acceptedHashes: [],
    allowWeakAlgorithms: policy.allowWeakAlgorithms || world.allowWeakAlgorithms,
    checkServerName: policy.name === "connectedTo" && connectedTo !== undefined,
    ...policy.inBand,
    inBandOcsp: policy.inBand.depth,
    askedOcsp: policy.peerClass === "gateway" && policy.inBand.depth !== "off" ? asked(policy) : "off",
    profile: policy.profile,
  };
  const certificates = presented.map(({ der }) => der);
  const ocspResponses = material.ocspResponses.map(({ item }) => item);
  const peer = { ...identityOf(claim), certificates, ocspResponses, connectedTo: nameOf(connectedTo ?? claim) };
  const verdict = verifyCertificates(peer, verifier);
  if (!verdict.valid) return { valid: false, reason: verdict.refusal.reason, message: verdict.refusal.message };
  const { path, ocsp, status } = verdict.verified;
  const settled = policy.peerClass === "gateway" && status.answered.length > 0 && status.unanswered.length === 0;
  return {
    valid: true,
    path,
    settled,
    status: ocsp === "not checked" ? "its status is not checked" : `its status is ${ocsp}`,
  };
}

/** What is asked about where no valid response came in-band. */
function asked({ revocation }: RolePolicy): "off" | "leaf" | "path" {
  return revocation?.gateway === undefined ? "off" : (revocation.gateway.scope ?? "path");
}

/** As an H(e)MS judges a device in TLS (TS 33.320 8.3.3.1). */
function tlsClient(policy: RolePolicy, presented: readonly Certificate[], world: JudgingWorld): EntryVerdict {
  const verdict = verifyTlsClient(
    presented.map(({ der }) => der),
    tlsPolicy(policy, world),
    [],
  );
  if (!verdict.valid) return { valid: false, reason: verdict.refusal.reason, message: verdict.refusal.message };
  const { identity } = world;
  if (identity !== undefined && identity.toLowerCase() !== verdict.identity) {
    const message = `it should be ${identity}, but the certificate is for ${verdict.identity}`;
    return { valid: false, reason: "NameMismatch", message };
  }
  return { valid: true, path: verdict.path, settled: false, status: NOT_CHECKED };
}

/** As a device judges its H(e)MS in TLS (TS 33.320 8.3.2.1); a stapled response may be among those that were given. */
function tlsServer(policy: RolePolicy, presented: readonly Certificate[], world: JudgingWorld): EntryVerdict {
  const { identity, material, clock } = world;
  const [certified = ""] = namesOf(presented[0]!.extensions.subjectAltName);
  const verifier = tlsPolicy(policy, world);
  const credentials = {
    certificates: presented.map(({ der }) => der),
    stapled: undefined,
    stapling: "ignored",
    connectedTo: nameOf(policy.connectsTo ?? identity ?? certified),
  } as const;
  const verdict = verifyTlsServer(credentials, verifier);
  if (!verdict.valid) return { valid: false, reason: verdict.refusal.reason, message: verdict.refusal.message };
  const { path } = verdict;
  const responses = material.ocspResponses.map(({ item }) => item);
  const askedOcsp = policy.revocation === undefined ? "off" : "leaf";
  const status = checkInBand(responses, path, { ...verifier, inBandOcsp: policy.inBand.depth, askedOcsp }, clock.now());
  if ("reason" in status) return { valid: false, reason: status.reason, message: status.message };
  const settled = status.answered.length > 0;
  return { valid: true, path, settled, status: settled ? "its status is in-band good" : NOT_CHECKED };
}

function tlsPolicy(policy: RolePolicy, { roots, clock, allowWeakAlgorithms }: JudgingWorld) {
  return {
    ...policy.inBand,
    clock,
    roots,
    maxPath: MAX_PATH,
    allowWeakAlgorithms: policy.allowWeakAlgorithms || allowWeakAlgorithms,
    profile: policy.profile,
  };
}

function nameOf(text: string): { fqdn: string } | { address: string } {
  return parseIp(text) === undefined ? { fqdn: text } : { address: text };
}

function identityOf(text: string): { idType: number; idData: Bytes } {
  const address = parseIp(text);
  if (address === undefined) return fqdnIdentity(text);
  return { idType: address.length === 4 ? IdType.IPV4_ADDR : IdType.IPV6_ADDR, idData: address };
}

const NOT_CHECKED = "its status is not checked";
const WORST_FIRST: readonly Result[] = ["invalid", "undetermined", "valid"];
/** TS 33.320 7.2.3-2, 7.2.4-2. */
const MAX_PATH = 4;
