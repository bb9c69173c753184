/**
 * The revocation part of a role's verdict: by its policy's servers, or by the files that stand in for them.
 *
 * Without the servers a verdict can hang on what they would have said; then it is undetermined, and says whom the role
 * would ask.
 */
import { policyOf, type RevocationSection } from "../../revocation/config.ts";
import { openStatusService } from "../../revocation/open.ts";
import { type Method, type RevocationPolicy, ruleFor, sourcesFor } from "../../trust/revocationPolicy.ts";
import { type CertificateStatus, describeStatusRefusal, type StatusVerdict } from "../../trust/statusAnswer.ts";
import type { Certificate } from "../../x509/certificate.ts";
import { statusByGiven } from "./givenSources.ts";
import type { RolePolicy, RoleWorld } from "./rolePolicy.ts";
import type { RoleReport } from "./roleReport.ts";

/** `status` is what was found out before; a role that checks nothing leaves it at that. */
export async function roleStatus(
  { path, status }: { path: readonly Certificate[]; status: string },
  role: RolePolicy & { revocation: RevocationSection },
  world: RoleWorld,
): Promise<Omit<RoleReport, "role">> {
  const policy = policyOf(role.revocation);
  const verdict = await verdictOn(path, policy, role, world);
  const { certificates: statuses } = verdict;
  const unasked = world.online ? [] : unaskedServers(path, verdict, policy, role);
  const pending = (subject: string, method: Method) =>
    unasked.some((each) => each.subject === subject && each.method === method);
  const refusals = statuses.flatMap(({ decision }) => (decision.kind === "refused" ? [decision.refusal] : []));
  const firm = refusals.find((each) => !("method" in each) || !pending(each.subject, each.method));
  if (firm !== undefined)
    return { would: "refuse", reason: firm.reason, message: describeStatusRefusal(firm), statuses };
  const tolerated = statuses.some(
    ({ subject, decision }) =>
      decision.kind === "tolerated" && decision.troubles.some(({ method }) => pending(subject, method)),
  );
  const remark = unasked.map(({ text }) => text).join("; ");
  if (refusals.length > 0 || tolerated)
    return {
      would: "undetermined",
      reason: undefined,
      message: `it would ask ${remark}; --online asks now, --crl and --ocsp-response FILE stand in for the answers`,
      statuses,
    };
  const said = summaryOf(statuses) ?? status;
  const message = remark === "" ? said : `${said} (not asked: ${remark})`;
  return { would: "accept", reason: undefined, message, statuses };
}

async function verdictOn(
  path: readonly Certificate[],
  policy: RevocationPolicy,
  { peerClass, revocation: section, roots: cas, ...role }: RolePolicy & { revocation: RevocationSection },
  world: RoleWorld,
): Promise<StatusVerdict> {
  const { file, crlSigners, clock, random, material } = world;
  const allowWeakAlgorithms = role.allowWeakAlgorithms || world.allowWeakAlgorithms;
  const options = { folder: file.folder, cas, crlSigners, allowWeakAlgorithms, clock, random };
  if (!world.online) return statusByGiven({ path, peerClass, policy, material }, { ...options, section });
  // The folder of a running role is its own: nothing is read from it or left in it.
  const { cache: _, ...own } = section;
  await using open = openStatusService({ ...options, section: own, fetching: "asked" });
  return await open.service.check(path, peerClass);
}

interface Unasked {
  subject: string;
  method: Method;
  text: string;
}

/** Methods that had nothing given to go by, though the policy has servers for them. */
function unaskedServers(
  path: readonly Certificate[],
  { certificates }: StatusVerdict,
  policy: RevocationPolicy,
  { peerClass }: RolePolicy,
): Unasked[] {
  return certificates.flatMap(({ subject, findings }, index) =>
    findings.flatMap(({ method, answer }) => {
      if (answer.status !== "noSource") return [];
      const sources = sourcesFor(ruleFor(policy, peerClass, path[index + 1]!), method, path[index]!);
      const urls = sources.flatMap(({ groups }) => groups.flat());
      return urls.length === 0
        ? []
        : [{ subject, method, text: `${urls.join(", ")} about "${subject}" (${method.toUpperCase()})` }];
    }),
  );
}

/** "CRL good", "OCSP unreachable, tolerated"; undefined where nothing was checked. */
function summaryOf(statuses: readonly CertificateStatus[]): string | undefined {
  const parts = statuses.flatMap(({ subject, decision, findings }) => {
    if (decision.kind === "tolerated")
      return [
        `${decision.troubles.map(({ method, trouble }) => `${method.toUpperCase()} ${trouble}`).join(", ")} of "${subject}", tolerated`,
      ];
    if (decision.kind !== "good") return [];
    const good = findings.filter(({ answer }) => answer.status === "good");
    return [`${good.map(({ method }) => method.toUpperCase()).join(" and ")} good for "${subject}"`];
  });
  return parts.length === 0 ? undefined : parts.join("; ");
}
