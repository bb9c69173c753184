import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { createTunPlane } from "../../src/esp/planes/tun.ts";
import { TunDevice, whyNoTun } from "../../src/esp/planes/tunDevice.ts";
import { systemEnvironment } from "../../src/sim/system.ts";
import { Hosts, whyNoHosts } from "../net/namespaces.ts";

describe("a TUN device", { timeout: 60_000 }, () => {
  test("in trouble says what is wrong and what to do, and leaves nothing behind", { skip: whyNoHosts() }, async () => {
    const hosts = Hosts.create("tundev");
    try {
      const probe = fileURLToPath(new URL("./tunProbe.ts", import.meta.url));
      const { status, stdout, stderr } = await hosts.run("probe", process.execPath, [probe]);
      assert.equal(status, 0, stderr);
      const report = JSON.parse(stdout);
      const { taken, noBlock, noRoute, noAddress, badAddress, ownBefore, ownMeanwhile, ownAfter, ...rest } = report;
      assert.equal(ownBefore.length, 4);
      assert.deepEqual(ownMeanwhile, ["10.5.0.0/16 scope link metric 77"], "the tunnel's stand in for the others");
      assert.deepEqual(ownAfter.sort(), ownBefore.sort(), "the machine has its own routes back");
      assert.match(taken, /^TunUnavailable: making the TUN interface fgprobe was refused \(EBUSY\): choose another/);
      assert.equal(noBlock, 'RangeError: "10.2.0.0/33" is no address or block');
      // Behind our words stand the kernel's, which differ from one to the next.
      assert.match(noRoute, /^InterfaceError: ip route delete 10\.3\.0\.0\/16 dev fgprobe: \w/);
      assert.match(noAddress, /^InterfaceError: ip address delete 10\.1\.0\.6\/32 dev fgprobe: \w/);
      assert.match(badAddress, /^InterfaceError: ip address replace ff02::1\/128 dev fgother nodad: \w/);
      assert.deepEqual(rest, {
        routes: "10.2.0.0/16 scope link",
        interfaces: ["fgprobe"],
        lost: ["reading from fgprobe failed (EBADFD): see whether something deleted the interface"],
        notRestored: ['ip route replace 10.7.0.0/16 dev own0 scope link: Cannot find device "own0"'],
        interfacesAfter: [],
      });
    } finally {
      hosts.close();
    }
  });

  test("can be had here, and without the right to it is said how to get it", { skip: whyNoHosts() }, async () => {
    assert.equal(await whyNoTun(), undefined);
    const module = new URL("../../src/esp/planes/tunDevice.ts", import.meta.url).href;
    const script = `console.log(String(await (await import(${JSON.stringify(module)})).whyNoTun()))`;
    const dropped = ["--bounding-set=-net_admin", "--inh-caps=-net_admin", process.execPath];
    const { stdout } = await promisify(execFile)("setpriv", [...dropped, "--input-type=module", "-e", script]);
    assert.match(
      stdout,
      /^TunUnavailable: making the TUN interface fgprobe%d was refused \(EPERM\): run with CAP_NET_ADMIN/,
    );
  });

  test("has a name of 1 to 15 characters, and a plane an MTU that IPv6 can live with", async () => {
    const device = { mtu: 1400, onPacket() {}, onLost() {} };
    for (const name of ["", "a".repeat(16), "a b", "a/b", "ä"])
      await assert.rejects(TunDevice.open({ ...device, name }), {
        name: "RangeError",
        message: /is no interface name/,
      });
    const host = { sendUdp() {}, onEvent() {} };
    for (const mtu of [1279, 65_536, Number.NaN])
      await assert.rejects(createTunPlane({ name: "fgx", mtu, host, random: systemEnvironment.random }), {
        name: "RangeError",
        message: /is not within 1280\.\.65535/,
      });
  });
});
