import assert from "node:assert/strict";
import test from "node:test";
import { addAddress, addRoute, InterfaceError, pinRoute } from "../../src/esp/planes/networkInterface.ts";

test("what the kernel refuses is told with the command and its words", async () => {
  // Changes nothing: there is no such interface.
  await assert.rejects(addAddress("no-such0", "10.64.0.1/32"), (error) => {
    assert.ok(error instanceof InterfaceError);
    assert.match(error.message, /^ip address replace 10\.64\.0\.1\/32 dev no-such0: .+/);
    return true;
  });
  await assert.rejects(addRoute("no-such0", "10.40.7.9/16"), {
    message: /^ip route replace 10\.40\.0\.0\/16 dev no-such0: /,
  });
});

test("what is no address or block never reaches a command", async () => {
  for (const text of ["10.64.0.1/33", "segw", "10.0.0.0/8; reboot", "-6"])
    for (const change of [addAddress, addRoute]) await assert.rejects(change("no-such0", text), RangeError);
  await assert.rejects(pinRoute("--help"), (error) => error instanceof InterfaceError || error instanceof RangeError);
});
