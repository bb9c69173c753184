/** The gateway as a process: configuration, certificates, sockets, data plane and log around `SecurityGateway`. */
import { createPrivateKey, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { ConfigError, loadConfig } from "../config/load.ts";
import type { DataPlane, PlaneHost } from "../esp/dataPlane.ts";
import { NonePlane } from "../esp/planes/none.ts";
import { createTunPlane } from "../esp/planes/tun.ts";
import { fetchOcsp } from "../http/ocspClient.ts";
import { describeEvent } from "../ipsec/eventRecord.ts";
import { UdpPorts } from "../ipsec/udpPorts.ts";
import { createLogger, type Logger } from "../observe/log.ts";
import type { Clock, Random, Timers } from "../sim/environment.ts";
import { type Certificate, parseCertificate } from "../x509/certificate.ts";
import { fromPem } from "../x509/pem.ts";
import { type GatewayConfig, gatewayConfig } from "./config.ts";
import { type GatewayCredentials, SecurityGateway } from "./gateway.ts";
