/** radclient's Disconnect and CoA at our SeGW's port: what it does to a session, and what it is answered (RFC 5176). */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { IkeSaId } from "../../../src/ike/sa/effects.ts";
import type { AaaGrant, AaaSession } from "../../../src/segw/aaa/client.ts";
import { aaaSection } from "../../../src/segw/aaa/config.ts";
import { openAaaClient } from "../../../src/segw/aaa/open.ts";
import { AaaSessions } from "../../../src/segw/aaa/sessions.ts";
import { systemEnvironment } from "../../../src/sim/system.ts";
import { REAL, SECRET } from "../../aaa/served.ts";
import { freePort } from "../../net/freePort.ts";
import { radclient } from "./freeradius.ts";

const SA = 3 as IkeSaId;
const DEVICE = "ap-1.operator.example";
const PARTY = { idType: 3, idData: Buffer.from("party@operator.example"), text: "party@operator.example" };

/** A gateway's AAA sessions with one device attached, whose server never had to be asked. */
async function attached(ends: AsyncDisposableStack) {
  const folder = mkdtempSync(join(tmpdir(), "femtogate-coa-"));
  ends.defer(async () => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "secret"), SECRET);
  const port = await freePort();
  const nowhere = { name: "aaa", address: "127.0.0.1", port: 1, accountingPort: 0, secretFile: "secret" };
  const dynamicAuthorization = { address: "127.0.0.1", port };
  const section = aaaSection.parse({ server: { protocol: "radius", servers: [nowhere], dynamicAuthorization } });
  const changes: AaaGrant[] = [];
  const ended: string[] = [];
  const client = await openAaaClient(
    section,
    { name: "segw.example", addresses: ["127.0.0.1"] },
    (path) => join(folder, path),
    REAL,
    {
      onDetach: (name) => sessions.detach(name),
      onReauthorize: () => false,
      sessionOf: (name) => sessions.sessionOf(name),
      onChange: (name, change) => sessions.change(name, change),
      onUp: () => undefined,
      onProblem: () => undefined,
    },
  );
  ends.defer(() => client.close());
  let session: AaaSession | undefined;
  const sessions: AaaSessions = new AaaSessions({
    client: {
      authorize: async (asked) => {
        session = asked;
        return ACCEPTED;
      },
      eap: async () => assert.fail("no EAP here"),
      started: () => undefined,
      ended: async () => undefined,
      close: () => client.close(),
    },
    name: "segw.example",
    ...systemEnvironment,
    usageOf: () => ({ inboundBytes: 0, outboundBytes: 0 }),
    hasFilter: (name) => name === "guests",
    onEnd: (_sa, cause) => ended.push(cause),
    onGranted: () => undefined,
    onChanged: (_sa, _device, grant) => changes.push(grant),
    onProblem: () => undefined,
  });
  sessions.begin(SA, DEVICE, "192.0.2.7");
  await sessions.authorize(SA);
  session!.party = PARTY.text;
  sessions.attached(SA, ["10.64.0.9", "2001:db8::9"]);
  ends.defer(async () => sessions.gone(SA, "closed"));
  const ask = async (command: "coa" | "disconnect", attributes: string, tries = 3) => {
    const { output } = await radclient(command, port, SECRET, attributes, tries);
    const [, answer] = /Received (\S+)/.exec(output) ?? [];
    const [, cause] = /Error-Cause = (\S+)/.exec(output) ?? [];
    return cause === undefined ? answer : `${answer} ${cause}`;
  };
  return { ask, id: session!.id, changes, ended };
}

const ACCEPTED = { kind: "accepted", secondRound: "allowed", grant: { sessionTimeout: 3600 } } as const;

test("a CoA-Request changes time and filter of the session it names, and of no other", async () => {
  await using ends = new AsyncDisposableStack();
  const { ask, id, changes } = await attached(ends);
  const session = `Acct-Session-Id="${id}"`;
  assert.equal(await ask("coa", `${session},Session-Timeout=60`), "CoA-ACK");
  assert.deepEqual(changes.at(-1), { sessionTimeout: 60 });
  assert.equal(await ask("coa", `${session},Filter-Id=guests,User-Name=${PARTY.text}`), "CoA-ACK");
  assert.deepEqual(changes.at(-1), { sessionTimeout: 60, filter: "guests" });
  const byAddress = "Framed-IP-Address=10.64.0.9,Framed-IPv6-Address=2001:db8::9";
  const named = `${session},Calling-Station-Id=AP-1.operator.example,NAS-Identifier=segw.example,${byAddress}`;
  assert.equal(await ask("coa", `${named},Session-Timeout=70`), "CoA-ACK");
  const before = changes.length;
  const elsewhere = "CoA-NAK Session-Context-Not-Found";
  assert.equal(await ask("coa", "Acct-Session-Id=other,Session-Timeout=60"), elsewhere);
  assert.equal(await ask("coa", `${session},User-Name=somebody,Session-Timeout=60`), elsewhere);
  assert.equal(await ask("coa", `${session},Calling-Station-Id=ap-2.operator.example,Session-Timeout=60`), elsewhere);
  assert.equal(await ask("coa", `${session},Framed-IP-Address=10.64.0.8,Session-Timeout=60`), elsewhere);
  const mismatch = "CoA-NAK NAS-Identification-Mismatch";
  assert.equal(await ask("coa", `${session},NAS-Identifier=other.example,Session-Timeout=60`), mismatch);
  assert.equal(await ask("coa", `${session},NAS-IP-Address=192.0.2.99,Session-Timeout=60`), mismatch);
  assert.equal(changes.length, before);
});

test("a CoA-Request that says something else besides does nothing at all", async () => {
  await using ends = new AsyncDisposableStack();
  const { ask, id, changes } = await attached(ends);
  const both = `Acct-Session-Id="${id}",Session-Timeout=60`;
  for (const [attributes, answer] of [
    [`${both},Idle-Timeout=10`, "CoA-NAK Unsupported-Attribute"],
    [`${both},Cisco-AVPair="x=y"`, "CoA-NAK Unsupported-Attribute"],
    [`${both},Service-Type=Authorize-Only`, "CoA-NAK Unsupported-Service"],
    [`${both},Filter-Id=guests,Filter-Id=more`, "CoA-NAK Invalid-Request"],
    [`${both},Filter-Id=unheard`, "CoA-NAK Invalid-Attribute-Value"],
    [`Acct-Session-Id="${id}",Session-Timeout=0`, "CoA-NAK Invalid-Attribute-Value"],
    [`Acct-Session-Id="${id}"`, "CoA-NAK Missing-Attribute"],
    ["Session-Timeout=60", "CoA-NAK Missing-Attribute"],
  ] as const)
    assert.equal(await ask("coa", attributes), answer, attributes);
  assert.deepEqual(changes, []);
});

test("a Disconnect-Request ends the session it names; one of another time is dropped as a replay", async () => {
  await using ends = new AsyncDisposableStack();
  const { ask, id, ended } = await attached(ends);
  const session = `Acct-Session-Id="${id}"`;
  assert.equal(await ask("disconnect", "Acct-Session-Id=other"), "Disconnect-NAK Session-Context-Not-Found");
  assert.equal(await ask("disconnect", `${session},Session-Timeout=9`), "Disconnect-NAK Unsupported-Attribute");
  assert.equal(await ask("disconnect", `${session},Event-Timestamp="Jan  1 2020 00:00:00 UTC"`, 1), undefined);
  assert.deepEqual(ended, []);
  assert.equal(await ask("disconnect", `${session},User-Name=${DEVICE}`), "Disconnect-ACK");
  assert.deepEqual(ended, ["detachedByAaa"]);
});
