/** The load generator's configuration file (YAML). */
import { z } from "zod";
import { cidr, fqdn, ipAddress, path, port } from "../config/fields.ts";
import { deviceOcspSection, espSection, ikeSection, portsSection } from "../ipsec/settings.ts";

export const loadConfig = z.strictObject({
  gateway: z.strictObject({ name: z.union([ipAddress, fqdn]), address: ipAddress, ports: portsSection }),
  local: z.strictObject({
    address: ipAddress,
    ports: z.strictObject({ ike: port.default(0), natT: port.default(0) }).prefault({}),
  }),
  trust: z.strictObject({ roots: z.array(path).min(1) }),
  /** The devices, which take turns: each with a certificate path and its key, PEM. */
  devices: z.array(z.strictObject({ chain: path, key: path })).min(1),
  ike: ikeSection,
  esp: espSection,
  ocsp: deviceOcspSection,
  reach: z.array(cidr).min(1).default(["0.0.0.0/0"]),
});

export type LoadConfig = z.output<typeof loadConfig>;
