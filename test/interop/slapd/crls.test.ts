import assert from "node:assert/strict";
import { type AddressInfo, createServer, type Server } from "node:net";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { Bytes } from "../../../src/bytes/bytes.ts";
import { element, integer, octetString, sequence } from "../../../src/der/writer.ts";
import type { Fetched } from "../../../src/revocation/fetching.ts";
import { LdapCrlFetcher, type LdapLimits } from "../../../src/revocation/ldapFetcher.ts";
import { largeCrl } from "../../revocation/largeCrl.ts";
import { crlAt } from "../../revocation/storeWorld.ts";
import { make } from "../../x509/made.ts";
import { CA_DN, Slapd } from "./slapd.ts";

const LIMITS: LdapLimits = { timeMs: 20_000, maxBytes: 8 * 1024 * 1024 };
const ca = make({ name: "CA" });
const fetch = (url: string, over: Partial<LdapLimits> = {}) => new LdapCrlFetcher({ ...LIMITS, ...over }).fetch(url);
const urlOf = (port: number, dn = CA_DN, rest = "?certificateRevocationList;binary") =>
  `ldap://127.0.0.1:${port}/${encodeURIComponent(dn)}${rest}`;

function problemOf(fetched: Fetched) {
  assert.ok(fetched.kind === "failed", fetched.kind);
  return fetched.problem;
}

test("slapd gives the CRL of a CA's entry, with the attribute named in each usual way", async () => {
  const crl = crlAt(ca, Date.now(), [Buffer.from([1])]);
  await using slapd = await Slapd.start(crl);
  const { port } = slapd;
  const ways = [
    urlOf(port),
    urlOf(port, CA_DN, ""),
    urlOf(port, CA_DN, "?certificateRevocationList;binary?base?(objectClass=*)"),
    `ldap://127.0.0.1:${port}/cn=Device%20CA,o=Vendor?certificateRevocationList;binary`,
  ];
  for (const url of ways) {
    const fetched = await fetch(url);
    assert.ok(fetched.kind === "content", `${url}: ${JSON.stringify(fetched)}`);
    assert.deepEqual(Buffer.concat(fetched.segments), crl);
  }
});

test("an entry that is not there, one without the attribute, and a port without a server are told apart", async () => {
  await using slapd = await Slapd.start(crlAt(ca, Date.now(), []));
  const absent = problemOf(await fetch(urlOf(slapd.port, "cn=Nobody,o=Vendor")));
  assert.equal(absent.reason, "NoSuchEntry");
  const without = problemOf(await fetch(urlOf(slapd.port, "cn=Without,o=Vendor")));
  assert.ok(without.reason === "NoSuchEntry" && /has no certificateRevocationList/.test(without.detail));
  const refused = problemOf(await fetch(urlOf(1)));
  assert.ok(refused.reason === "Unreachable" && /ECONNREFUSED/.test(refused.detail));
});

test("a list of a hundred thousand entries comes whole, and one beyond the limit is cut off", async () => {
  const crl = largeCrl(ca, 100_000);
  await using slapd = await Slapd.start(crl);
  const fetched = await fetch(urlOf(slapd.port));
  assert.ok(fetched.kind === "content");
  assert.ok(Buffer.concat(fetched.segments).equals(crl));
  const cut = problemOf(await fetch(urlOf(slapd.port), { maxBytes: 1_000_000 }));
  assert.ok(cut.reason === "Unreachable" && /at most 1000000 octets are read/.test(cut.detail), JSON.stringify(cut));
});

/** A directory that answers every request with what `answer` makes of its message id. */
async function directory(answer: (id: number) => Bytes | undefined): Promise<Server & { port: number }> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.on("data", (request: Bytes) => {
      const bytes = answer(request[4]!);
      if (bytes !== undefined) socket.write(bytes);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return Object.assign(server, { port: (server.address() as AddressInfo).port });
}

test("a directory that hangs its client, or says nothing, costs a thread until the time is over and nothing else", async () => {
  const hang = (id: number) => {
    // An entry whose SET says 20 octets and whose value in it claims 60.
    const set = Buffer.concat([Buffer.from([0x31, 20, 4, 60]), Buffer.alloc(18)]);
    const attribute = sequence(octetString(Buffer.from("a;binary")), set);
    return sequence(integer(id), element(0x64, octetString(Buffer.from("cn=x")), sequence(attribute)));
  };
  for (const [answer, reasons] of [
    // Its heap may be full before its time is over.
    [hang, ["TimedOut", "Unreachable"]],
    [() => undefined, ["TimedOut"]],
  ] as const) {
    const server = await directory(answer);
    try {
      let turns = 0;
      let waiting = true;
      const fetched = fetch(urlOf(server.port), { timeMs: 1500 }).finally(() => {
        waiting = false;
      });
      while (waiting) {
        await setImmediate();
        turns += 1;
      }
      const { reason } = problemOf(await fetched);
      assert.ok(
        reasons.some((expected) => expected === reason),
        reason,
      );
      assert.ok(turns > 100);
    } finally {
      server.close();
    }
  }
});

test("a directory that announces more than the limit, or speaks no LDAP, is cut off", async () => {
  for (const answer of [
    Buffer.from("3084ffffffff", "hex"),
    Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"),
    Buffer.from([0x30, 0x80, 0, 0, 0, 0]),
  ]) {
    const server = await directory(() => answer);
    try {
      const problem = problemOf(await fetch(urlOf(server.port), { timeMs: 10_000 }));
      assert.equal(problem.reason, "Unreachable", JSON.stringify(problem));
    } finally {
      server.close();
    }
  }
});
