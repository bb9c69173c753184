import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { encodePayloads } from "../../../src/ike/codec/encode.ts";
import type { IdPayload } from "../../../src/ike/codec/message.ts";
import { Prf } from "../../../src/ike/codec/numbers.ts";
import { authOctets, idBody } from "../../../src/ike/crypto/auth.ts";

const identity: IdPayload = { kind: "IDi", idType: 2, data: Buffer.from("ap-0001.example") };

test("the identity is signed as its payload without the generic header (RFC 7296 2.15)", () => {
  assert.deepEqual(idBody(identity), encodePayloads([identity]).bytes.subarray(4));
});

test("AUTH covers the first message, the peer's nonce and a MAC over the identity, in this order (RFC 7296 2.15)", () => {
  const message = Buffer.from("IKE_SA_INIT");
  const nonce = Buffer.alloc(32, 1);
  const skp = Buffer.alloc(32, 2);
  const mac = createHmac("sha256", skp).update(idBody(identity)).digest();
  assert.deepEqual(
    authOctets(message, nonce, Prf.HMAC_SHA2_256, skp, idBody(identity)),
    Buffer.concat([message, nonce, mac]),
  );
});
