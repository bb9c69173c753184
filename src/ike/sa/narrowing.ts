/** Traffic selector narrowing (RFC 7296 2.9): the responder keeps what both sides allow. */
import { type Bytes, compareBytes } from "../../bytes/bytes.ts";
import { isAnyPort, isOpaque, type TrafficSelector } from "../../esp/selector.ts";

/** Selectors one payload may carry; more are cut off before they cost anything. */
const MAX_SELECTORS = 16;

/** What is in both lists, each member a subset of one `offered` selector; empty means TS_UNACCEPTABLE. */
export function narrow(offered: readonly TrafficSelector[], allowed: readonly TrafficSelector[]): TrafficSelector[] {
  const result: TrafficSelector[] = [];
  for (const theirs of offered.slice(0, MAX_SELECTORS)) {
    for (const ours of allowed) {
      const common = intersection(theirs, ours);
      if (common !== undefined && !result.some((other) => contains(other, common))) result.push(common);
      if (result.length >= MAX_SELECTORS) return result;
    }
  }
  return result;
}

/** True if every selector in `inner` lies within one of `outer`; checks a responder's answer (RFC 7296 2.9). */
export function isNarrowingOf(inner: readonly TrafficSelector[], outer: readonly TrafficSelector[]): boolean {
  return inner.length > 0 && inner.every((one) => outer.some((whole) => contains(whole, one)));
}

function contains(outer: TrafficSelector, inner: TrafficSelector): boolean {
  return (
    outer.type === inner.type &&
    (outer.protocol === 0 || outer.protocol === inner.protocol) &&
    containsPorts(outer, inner) &&
    compareBytes(outer.startAddress, inner.startAddress) <= 0 &&
    compareBytes(outer.endAddress, inner.endAddress) >= 0
  );
}

function intersection(a: TrafficSelector, b: TrafficSelector): TrafficSelector | undefined {
  if (a.type !== b.type) return undefined;
  if (a.protocol !== 0 && b.protocol !== 0 && a.protocol !== b.protocol) return undefined;
  const ports = commonPorts(a, b);
  const startAddress = later(a.startAddress, b.startAddress);
  const endAddress = earlier(a.endAddress, b.endAddress);
  if (ports === undefined || compareBytes(startAddress, endAddress) > 0) return undefined;
  return {
    type: a.type,
    protocol: a.protocol === 0 ? b.protocol : a.protocol,
    ...ports,
    startAddress,
    endAddress,
  };
}

type Ports = Pick<TrafficSelector, "startPort" | "endPort">;

function containsPorts(outer: Ports, inner: Ports): boolean {
  if (isOpaque(inner)) return isOpaque(outer) || isAnyPort(outer);
  return outer.startPort <= inner.startPort && outer.endPort >= inner.endPort;
}

/** OPAQUE lies within "any port" and within itself, and in no other range (RFC 4301 4.4.1.1, RFC 7296 3.13.1). */
function commonPorts(a: Ports, b: Ports): Ports | undefined {
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const)
    if (isOpaque(one))
      return containsPorts(other, one) ? { startPort: one.startPort, endPort: one.endPort } : undefined;
  const startPort = Math.max(a.startPort, b.startPort);
  const endPort = Math.min(a.endPort, b.endPort);
  return startPort <= endPort ? { startPort, endPort } : undefined;
}

function later(a: Bytes, b: Bytes): Bytes {
  return compareBytes(a, b) >= 0 ? a : b;
}

function earlier(a: Bytes, b: Bytes): Bytes {
  return compareBytes(a, b) <= 0 ? a : b;
}
