import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseLdapUrl } from "../../src/revocation/ldapUrl.ts";

test("an LDAP address names host, port, entry and attribute (RFC 4516)", () => {
  const attribute = "certificateRevocationList;binary";
  assert.deepEqual(parseLdapUrl("ldap://dir.example/cn=CA,o=Vendor"), {
    host: "dir.example",
    port: 389,
    dn: "cn=CA,o=Vendor",
    attribute,
  });
  assert.deepEqual(parseLdapUrl("ldap://[2001:db8::1]:1389/cn=Device%20CA%2co=V?authorityRevocationList?base?(x=*)"), {
    host: "2001:db8::1",
    port: 1389,
    dn: "cn=Device CA,o=V",
    attribute: "authorityRevocationList",
  });
  assert.equal(
    parseLdapUrl("ldap://d/cn=A%C3%A4?deltaRevocationList;binary,cn")?.attribute,
    "deltaRevocationList;binary",
  );
  assert.equal(parseLdapUrl("ldap://d/cn=%C3%A4")?.dn, "cn=ä");
});

test("what is no address of one entry is refused", () => {
  for (const text of [
    "ldap:///cn=CA",
    "ldap://dir.example",
    "ldap://dir.example/",
    "ldaps://dir.example/cn=CA",
    "http://dir.example/cn=CA",
    "ldap://dir.example/cn=CA?attribute?sub",
    "ldap://dir.example/cn=CA?*",
    "ldap://dir.example/cn=CA?a%00b",
    "ldap://dir.example/cn=%E0%A4",
    "cn=CA",
  ])
    assert.equal(parseLdapUrl(text), undefined, text);
});

test("any text is an address or none, without an exception", () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (dn, rest) => {
      parseLdapUrl(`ldap://host/${dn}?${rest}`);
      parseLdapUrl(dn);
    }),
  );
});
