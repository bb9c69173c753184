import assert from "node:assert/strict";
import { test } from "node:test";
import { DecodeError } from "../../../src/bytes/reader.ts";
import { type Attribute, attribute } from "../../../src/radius/codec/packet.ts";
import { grantOf } from "../../../src/segw/aaa/radiusGrant.ts";

function grant(...attributes: Attribute[]) {
  return grantOf({ code: 2, identifier: 0, authenticator: Buffer.alloc(16), attributes });
}

const four = (address: string) => attribute("Framed-IP-Address", address);
const prefix = (hex: string) => attribute("Framed-IPv6-Prefix", Buffer.from(hex, "hex"));
const interfaceId = attribute("Framed-Interface-Id", Buffer.from("0000000000000009", "hex"));

test("an Access-Accept assigns addresses of either family (RFC 2865 5.8, RFC 3162, RFC 6911)", () => {
  const six = attribute("Framed-IPv6-Address", "2001:db8::7");
  assert.deepEqual(grant(four("10.1.2.3"), six), { addresses: ["10.1.2.3", "2001:db8::7"] });
  assert.deepEqual(grant(prefix("008020010db8000000000000000000000008")), { addresses: ["2001:db8::8"] });
  assert.deepEqual(grant(prefix("004020010db800000001"), interfaceId), { addresses: ["2001:db8:0:1::9"] });
  assert.deepEqual(grant(prefix("008020010db8000000000000000000000008"), six), { addresses: ["2001:db8::7"] });
});

test("what leaves the choice to the gateway assigns nothing", () => {
  for (const address of ["255.255.255.254", "255.255.255.255"]) assert.deepEqual(grant(four(address)), {});
  assert.deepEqual(grant(prefix("004020010db800000001")), {}, "a prefix that holds many addresses");
  assert.deepEqual(grant(prefix("006020010db80000000100000000"), interfaceId), {}, "no room for the identifier");
});

test("octets that are no prefix assign nothing, and a value of a wrong length is refused", () => {
  for (const octets of ["", "00", "0081", "008020010db8", "004020010d", `0080${"00".repeat(17)}`])
    assert.deepEqual(grant(prefix(octets)), {}, octets);
  assert.throws(() => grant({ type: 8, vendor: 0, value: Buffer.alloc(3) }), DecodeError);
});
