/** The step from authenticating to established, the same on both sides. */
import type { AssignedAddress, PeerIdentity, VerifiedPeer } from "./effects.ts";
import type { IkeSa } from "./ikeSa.ts";

export function becomeEstablished(
  sa: IkeSa,
  peer: PeerIdentity,
  verified: VerifiedPeer,
  assigned: AssignedAddress | undefined,
): void {
  sa.state = { kind: "Established", peer, evidence: verified.evidence, assigned };
  sa.timers.delete("halfOpen");
  sa.forgetAuthentication();
  armLifetime(sa);
  sa.host.emit({
    kind: "event",
    event: {
      kind: "established",
      sa: sa.id,
      peer,
      evidence: verified.evidence,
      suite: sa.suite!,
      remote: sa.path.remote,
      addresses: assigned?.attributes ?? [],
      initiator: sa.originalInitiator,
    },
  });
  sa.host.announce(sa, peer);
}

/** Timers of an established IKE SA: rekeying, liveness, NAT keep-alives. */
export function armLifetime(sa: IkeSa): void {
  const { connection } = sa;
  if (connection.ikeRekeyAfter > 0) {
    sa.arm("rekeyIke", jittered(sa, connection.ikeRekeyAfter));
    sa.arm("expireIke", connection.ikeRekeyAfter * EXPIRY_FACTOR);
  }
  if (connection.dpdInterval > 0) sa.arm("liveness", connection.dpdInterval);
  // Only the side behind the NAT keeps its binding alive (RFC 3948 4).
  if (sa.nat.local && connection.natKeepaliveInterval > 0 && sa.originalInitiator)
    sa.arm("keepalive", connection.natKeepaliveInterval);
}

/** A rekey interval less a random share of it (RFC 7296 2.8: jitter keeps the sides from rekeying at once). */
export function jittered(sa: IkeSa, interval: number): number {
  return interval * (1 - (sa.connection.rekeyJitter * sa.host.random.bytes(1)[0]!) / 255);
}

/** An SA that could not be rekeyed ends this much later than its rekeying was due. */
export const EXPIRY_FACTOR = 1.2;
