/** Which peer a request goes to (RFC 6733 6.1.4, 6.1.5; RFC 3539 3.4 for the choice among several). */
import type { Peer } from "./peer.ts";

export interface Destination {
  application: number;
  realm: string;
  /** Destination-Host: the node that keeps the session. */
  host?: string | undefined;
  /** The neighbour through which that node was heard of, if it is none itself. */
  via?: string | undefined;
}

/**
 * The best open peer for a destination, those in `tried` left out: first one that is well, then the destination itself,
 * then the way it was heard from, then by priority.
 */
export function choosePeer(
  peers: Iterable<Peer>,
  { application, realm, host, via }: Destination,
  tried: ReadonlySet<Peer>,
): Peer | undefined {
  let best: { peer: Peer; rank: number } | undefined;
  for (const peer of peers) {
    const { open, settings } = peer;
    if (open === undefined || tried.has(peer)) continue;
    const { capabilities, watchdog } = open;
    if (!capabilities.relay && !capabilities.applications.has(application)) continue;
    const isDestination = settings.host === host?.toLowerCase();
    // Who is no relay takes only what is for itself: for its host if one is named, else for its realm.
    if (!capabilities.relay && !isDestination && (host !== undefined || capabilities.realm !== realm.toLowerCase()))
      continue;
    const closeness = isDestination ? 0 : settings.host === via?.toLowerCase() ? 1 : 2;
    const fitness = watchdog.status === "Okay" ? 0 : watchdog.status === "Reopen" ? 1 : 2;
    const rank = (fitness * 3 + closeness) * PRIORITIES + settings.priority;
    if (best === undefined || rank < best.rank) best = { peer, rank };
  }
  return best?.peer;
}

/** Priorities are smaller than this. */
const PRIORITIES = 1e6;
