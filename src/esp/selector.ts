/** A traffic selector as ranges of addresses, ports and one protocol (RFC 7296 3.13.1, RFC 4301 4.4.1.1). */
import type { Bytes } from "../bytes/bytes.ts";

export interface TrafficSelector {
  /** 7 = TS_IPV4_ADDR_RANGE, 8 = TS_IPV6_ADDR_RANGE. */
  type: 7 | 8;
  /** IP protocol; 0 means any. */
  protocol: number;
  startPort: number;
  endPort: number;
  /** 4 or 16 octets, both ends inclusive. */
  startAddress: Bytes;
  endAddress: Bytes;
}
