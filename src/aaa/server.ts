/**
 * The AAA server's decisions, the same over Diameter and RADIUS: may this device connect (7.x-1), who is its hosting
 * party (TS 33.320 A.2-3 to A.2-6), what is granted, and what has become of it since.
 *
 * It knows sessions and conversations, not messages; `diameter.ts` and `radius.ts` translate. Everything that waits has a
 * time limit and a number limit.
 */
import type { Bytes } from "../bytes/bytes.ts";
import { AkaServer } from "../eap/aka/server.ts";
import type { AkaServerAnswer, AkaServerAsk, AkaServerOptions, AkaServerRecord } from "../eap/aka/serverTypes.ts";
import { AKA, AKA_PRIME, type AkaVariant } from "../eap/aka/variant.ts";
import { EapAuthenticator } from "../eap/authenticator.ts";
import type { EapRefusal, EapResult } from "../eap/method.ts";
import type { Clock, Milliseconds, Random } from "../sim/environment.ts";
import type { Accounting, AccountingReport } from "./accounting.ts";
import type { Devices } from "./devices.ts";
import { EapConversation, type Step } from "./eapConversation.ts";
import type { Hss } from "./hss/hss.ts";
import type { Identities } from "./identities.ts";
import { type AccessProfile, combined } from "./profile.ts";
import { type Gateway, type Grant, type Session, Sessions } from "./sessions.ts";

export interface AaaOptions {
  clock: Clock;
  random: Random;
  hss: Hss;
  devices: Devices;
  identities: Identities;
  accounting: Accounting;
  /** Settings of EAP-AKA and EAP-AKA', but for what the server decides itself. */
  aka: Omit<AkaServerOptions, "random" | "authorize" | "prefersAkaPrime" | "newPseudonym">;
  /** Most preferred first. */
  methods: readonly AkaVariant["name"][];
  /** Seconds of a session whose profile says nothing. */
  sessionTimeout: number;
  /** A newer session of a device ends the older one, on whichever gateway it is (TS 33.320 A.2-8). */
  oneSessionPerDevice: boolean;
  limits: { sessions: number; conversations: number };
  onEvent(event: AaaEvent): void;
}

export type AaaEvent =
  | { kind: "accepted"; session: string; gateway: string; device: string | undefined; subscriber: string | undefined }
  | {
      kind: "refused";
      gateway: string;
      device: string | undefined;
      user: string | undefined;
      reason: string;
      message: string;
    }
  | { kind: "ended"; session: string; cause: string };

export interface AccessQuery {
  session: string;
  gateway: Gateway;
  /** Identity in the device's certificate, as the gateway verified it. */
  device: string | undefined;
  /** The device's outer address. */
  from: string | undefined;
  /** Acct-Session-Id. */
  accountingId: string | undefined;
}

export interface EapQuery extends AccessQuery {
  /** The identity of IDi (TS 33.320 A.2-3). */
  user: string | undefined;
  /** Empty for EAP-Start. */
  payload: Bytes;
}

export type Decision =
  | { kind: "accept"; grant: Grant; eap: { packet: Bytes; msk: Bytes } | undefined }
  /** The device may connect, and its profile demands that a hosting party follows (A.1-4). */
  | { kind: "hostingPartyFollows"; grant: Grant }
  | { kind: "challenge"; packet: Bytes }
  | { kind: "reject"; reason: RejectReason; message: string; packet: Bytes | undefined }
  /** A request before for the same session is still at work. */
  | { kind: "busy" };

export type RejectReason =
  | "UnknownDevice"
  | "DeniedDevice"
  | "WrongLocation"
  /** The device's profile is for the device alone. */
  | "NotForHostingParties"
  /** The subscriber may not be on this device (7.x-1). */
  | "HostingPartyNotBound"
  | "UnknownSession"
  | "TooManySessions"
  | "Unavailable"
  /** EAP failed; the message says why. */
  | "AuthenticationFailed"
  | "UnknownSubscriber";

interface Conversation {
  eap: EapConversation;
  query: EapQuery;
  deadline: Milliseconds;
  /** Why the hosting party was refused, if it was. */
  refusal: RejectReason | undefined;
  profile: AccessProfile;
}

export class AaaServer {
  readonly #options: AaaOptions;
  readonly #sessions: Sessions;
  /** By session, in the order of their deadlines. */
  readonly #conversations = new Map<string, Conversation>();

  constructor(options: AaaOptions) {
    this.#options = options;
    this.#sessions = new Sessions(options.limits.sessions);
  }

  get sessions(): Sessions {
    return this.#sessions;
  }

  get conversations(): number {
    return this.#conversations.size;
  }

  /**
   * 7.x-1: whether a device, by its certificate's identity, may connect; apart from revocation. Of a session whose hosting
   * party is authenticated already, whether both still may (TS 29.273 7.2.2.4).
   */
  async authorizeDevice(query: AccessQuery & { device: string }): Promise<Decision> {
    if (!this.#owns(query.session, query.gateway))
      return this.#refuse(query, undefined, "UnknownSession", "the session is another gateway's");
    const known = this.#sessions.get(query.session);
    if (known?.subscriber !== undefined) {
      const grant = await this.#grantNow(query, known.subscriber);
      if ("refusal" in grant) return this.#refuse(query, known.subscriber, grant.refusal, "no longer allowed");
      this.#establish(query, grant, false);
      return { kind: "accept", grant, eap: undefined };
    }
    const verdict = await this.#options.devices.authorize(query.device, query.from);
    if (!verdict.allowed)
      return this.#refuse(query, undefined, verdict.reason, `device ${query.device} may not connect`);
    const grant = this.#grant(verdict.profile, undefined);
    const follows = verdict.authentication === "combined";
    if (!this.#establish(query, grant, !follows))
      return this.#refuse(query, undefined, "TooManySessions", "too many sessions");
    return follows ? { kind: "hostingPartyFollows", grant } : { kind: "accept", grant, eap: undefined };
  }

  /** One EAP packet of a session, the first included. */
  async eap(query: EapQuery): Promise<Decision> {
    this.#dropStale();
    const known = this.#conversations.get(query.session);
    if (!this.#owns(query.session, query.gateway))
      return this.#refuse(query, query.user, "UnknownSession", "the session is another gateway's");
    if (known !== undefined) return this.#decide(known, await known.eap.receive(query.payload));
    const startsAnew = query.payload.length === 0 || isIdentityResponse(query.payload);
    if (!startsAnew) return this.#refuse(query, query.user, "UnknownSession", "no EAP conversation in this session");
    if (this.#conversations.size >= this.#options.limits.conversations)
      return this.#refuse(query, query.user, "Unavailable", "too many authentications at once");
    const device = query.device ?? this.#sessions.get(query.session)?.device;
    const conversation = await this.#converse({ ...query, device });
    if ("kind" in conversation) return conversation;
    // Another request of the session may have come while the policy was asked.
    if (this.#conversations.has(query.session)) return { kind: "busy" };
    this.#conversations.set(query.session, conversation);
    const { payload, user } = query;
    const identity = user === undefined || user === "" ? undefined : Buffer.from(user, "utf8");
    const step = await conversation.eap.begin(
      payload.length > 0
        ? { kind: "response", packet: payload }
        : identity === undefined
          ? { kind: "nothing" }
          : { kind: "identity", identity },
    );
    return this.#decide(conversation, step);
  }

  /** True if a session or an authentication of that name is under way through that gateway. */
  knows(session: string, gateway: Gateway): boolean {
    const there = this.#conversations.has(session) || this.#sessions.get(session) !== undefined;
    return there && this.#owns(session, gateway);
  }

  /** `gateway`, where one says it, says that a session is over. False if it has none of that name. */
  end(session: string, cause: string, gateway?: Gateway): boolean {
    if (gateway !== undefined && !this.#owns(session, gateway)) return false;
    this.#conversations.delete(session);
    if (this.#sessions.remove(session) === undefined) return false;
    this.#options.onEvent({ kind: "ended", session, cause });
    return true;
  }

  /** Keeps an accounting report; resolves when it is durable. */
  async account(report: AccountingReport, gateway: Gateway): Promise<void> {
    const session = this.#owns(report.session, gateway) ? this.#sessions.get(report.session) : undefined;
    await this.#options.accounting.keep({
      ...report,
      device: session?.device ?? report.device,
      subscriber: session?.subscriber ?? report.subscriber,
    });
  }

  /** Forced detach: the gateway is told to end the session. True if it did, or had none. */
  async detach(session: Session, cause: string): Promise<boolean> {
    const done = await session.gateway.abort(session);
    if (done) this.end(session.id, cause);
    return done;
  }

  /**
   * Has a session authorized anew by what the store says now (TS 29.273 7.2.2.4, RFC 5176 3.2); one that would be refused
   * is ended. True if the gateway goes along.
   */
  async reauthorize(session: Session): Promise<boolean> {
    const { device, from, subscriber } = session;
    const grant = await this.#grantNow({ device, from }, subscriber);
    if ("refusal" in grant) return this.detach(session, `no longer allowed: ${grant.refusal}`);
    if (!(await session.gateway.reauthorize(session, grant))) return false;
    session.expires = this.#expiryOf(grant);
    return true;
  }

  /** A gateway lost all its sessions. */
  gatewayRestarted(name: string): void {
    for (const { id } of this.#sessions.removeOf(name))
      this.#options.onEvent({ kind: "ended", session: id, cause: "gatewayRestarted" });
  }

  /** Ends what nobody ended in time; to be called now and then. */
  sweep(): void {
    this.#dropStale();
    for (const { id } of this.#sessions.removeExpired(this.#options.clock.now()))
      this.#options.onEvent({ kind: "ended", session: id, cause: "sessionTimeout" });
  }

  async #converse(query: EapQuery): Promise<Conversation | Decision> {
    let profile: AccessProfile = {};
    if (query.device !== undefined) {
      const verdict = await this.#options.devices.authorize(query.device, query.from);
      if (!verdict.allowed)
        return this.#refuse(query, query.user, verdict.reason, `device ${query.device} may not connect`);
      if (verdict.authentication === "device-only")
        return this.#refuse(query, query.user, "NotForHostingParties", `device ${query.device} takes no hosting party`);
      profile = verdict.profile;
    }
    const conversation: Conversation = {
      query,
      profile,
      refusal: undefined,
      deadline: this.#options.clock.now() + CONVERSATION_LIFE,
      eap: new EapConversation(
        new EapAuthenticator({ random: this.#options.random, methods: this.#methodsFor(query.user) }),
        { answer: (ask) => this.#answer(ask, conversation), store: (record) => this.#store(record) },
      ),
    };
    return conversation;
  }

  /** The method that made the identity first (RFC 4187 4.1.1.6), the other one after it. */
  #methodsFor(user: string | undefined) {
    const { aka, methods, random, identities } = this.#options;
    const prefersAkaPrime = methods[0] === "EAP-AKA'" && methods.includes("EAP-AKA");
    const newPseudonym = (prefix: string, imsi: string) => identities.pseudonyms.make(prefix, imsi);
    const make = (variant: AkaVariant) => ({
      type: variant.type,
      make: () => new AkaServer(variant, { ...aka, random, authorize: true, prefersAkaPrime, newPseudonym }),
    });
    const enabled = methods.map((name) => (name === "EAP-AKA" ? AKA : AKA_PRIME));
    const fits = ({ prefix }: AkaVariant) => Object.values(prefix).includes(user?.[0] ?? "");
    return [...enabled.filter(fits), ...enabled.filter((variant) => !fits(variant))].map(make);
  }

  async #answer(ask: AkaServerAsk, conversation: Conversation): Promise<AkaServerAnswer> {
    const { hss, identities, devices } = this.#options;
    try {
      switch (ask.ask) {
        case "vector":
          return { ask: "vector", ...(await hss.vector(ask)) };
        case "resolvePseudonym":
          return { ask: "resolvePseudonym", imsi: await identities.pseudonyms.imsiOf(ask.username) };
        case "takeReauth":
          return { ask: "takeReauth", context: identities.takeReauth(ask.username) };
        case "authorize": {
          const profile = await hss.profile(ask.imsi);
          if (profile === undefined) conversation.refusal = "UnknownSubscriber";
          else if (!(await devices.mayCarry(conversation.query.device, ask.imsi)))
            conversation.refusal = "HostingPartyNotBound";
          else {
            conversation.profile = combined(profile, conversation.profile);
            return { ask: "authorize", verdict: "allowed" };
          }
          return { ask: "authorize", verdict: "notSubscribed" };
        }
      }
    } catch (error) {
      // The store or the HSS is at fault; the peer is told to try later, and no more.
      conversation.refusal = "Unavailable";
      const message = error instanceof Error ? error.message : String(error);
      switch (ask.ask) {
        case "vector":
          return { ask: "vector", refusal: "Unavailable", message };
        case "resolvePseudonym":
          return { ask: "resolvePseudonym", imsi: undefined };
        case "takeReauth":
          return { ask: "takeReauth", context: undefined };
        case "authorize":
          return { ask: "authorize", verdict: "temporarilyDenied" };
      }
    }
  }

  async #store(record: AkaServerRecord): Promise<void> {
    // Pseudonyms are made so that they need not be kept.
    if (record.record === "reauth") this.#options.identities.keepReauth(record.username, record.context);
  }

  #decide(conversation: Conversation, step: Step): Decision {
    const { query } = conversation;
    switch (step.kind) {
      case "busy":
        return { kind: "busy" };
      case "request":
        return { kind: "challenge", packet: step.packet };
      case "ignored":
        if (step.lastRequest !== undefined) return { kind: "challenge", packet: step.lastRequest };
        this.#conversations.delete(query.session);
        return this.#refuse(query, query.user, "AuthenticationFailed", step.problem);
      case "failure":
        this.#conversations.delete(query.session);
        return this.#fail(conversation, step.refusal, step.packet);
      case "success":
        this.#conversations.delete(query.session);
        return this.#succeed(conversation, step.result, step.packet);
    }
  }

  #fail({ query, refusal: own }: Conversation, refusal: EapRefusal, packet: Bytes): Decision {
    const unknown = refusal.reason === "UnknownSubscriber" || refusal.reason === "NoUsableIdentity";
    const reason = own ?? (unknown ? "UnknownSubscriber" : "AuthenticationFailed");
    return this.#refuse(query, query.user, reason, `${refusal.reason}: ${refusal.message}`, packet);
  }

  #succeed({ query, profile }: Conversation, { subscriber, msk }: EapResult, packet: Bytes): Decision {
    const grant = this.#grant(profile, subscriber);
    if (!this.#establish(query, grant, true))
      return this.#refuse(query, query.user, "TooManySessions", "too many sessions");
    return { kind: "accept", grant, eap: { packet, msk } };
  }

  /** What the store grants now to a device and its authenticated hosting party, or why it grants nothing. */
  async #grantNow(
    { device, from }: Pick<AccessQuery, "device" | "from">,
    subscriber: string | undefined,
  ): Promise<Grant | { refusal: RejectReason }> {
    const { devices, hss } = this.#options;
    let profile: AccessProfile = {};
    if (device !== undefined) {
      const verdict = await devices.authorize(device, from);
      if (!verdict.allowed) return { refusal: verdict.reason };
      if (verdict.authentication === "device-only" && subscriber !== undefined)
        return { refusal: "NotForHostingParties" };
      profile = verdict.profile;
    }
    if (subscriber === undefined) return this.#grant(profile, undefined);
    const subscription = await hss.profile(subscriber);
    if (subscription === undefined) return { refusal: "UnknownSubscriber" };
    if (!(await devices.mayCarry(device, subscriber))) return { refusal: "HostingPartyNotBound" };
    return this.#grant(combined(subscription, profile), subscriber);
  }

  #expiryOf({ profile }: Grant): Milliseconds {
    return this.#options.clock.now() + profile.sessionTimeout * 1000 + EXPIRY_GRACE;
  }

  #grant(profile: AccessProfile, subscriber: string | undefined): Grant {
    const { address, filter, sessionTimeout = this.#options.sessionTimeout } = profile;
    return { profile: { address, filter, sessionTimeout }, subscriber };
  }

  /** Makes or renews the session; `complete` if nothing of its authentication is left to do. */
  #establish(query: AccessQuery, grant: Grant, complete: boolean): boolean {
    const { subscriber } = grant;
    const now = this.#options.clock.now();
    const expires = this.#expiryOf(grant);
    const known = this.#sessions.get(query.session);
    const session: Session = known ?? {
      id: query.session,
      gateway: query.gateway,
      device: query.device?.toLowerCase(),
      from: query.from,
      subscriber: undefined,
      accountingId: query.accountingId,
      since: now,
      expires,
    };
    session.subscriber = subscriber ?? session.subscriber;
    session.device ??= query.device?.toLowerCase();
    session.expires = expires;
    if (!this.#sessions.add(session)) return false;
    if (!complete) return true;
    if (this.#options.oneSessionPerDevice) this.#replaceOlder(session);
    const { id, gateway, device } = session;
    this.#options.onEvent({
      kind: "accepted",
      session: id,
      gateway: gateway.name,
      device,
      subscriber: session.subscriber,
    });
    return true;
  }

  /** A.2-8. A gateway that would take one of its sessions for the other is left to end the older one by itself. */
  #replaceOlder(session: Session): void {
    const older = this.#sessions.takePlace(session);
    if (older === undefined) return;
    const sameGateway = older.gateway.name === session.gateway.name;
    if (sameGateway && !older.gateway.tellsApart(older, session)) this.end(older.id, "replaced");
    // It may fail; the older session then ends by its timeout, or by its gateway's word.
    else void this.detach(older, "replaced").catch(() => {});
  }

  #refuse(
    { gateway, device }: AccessQuery,
    user: string | undefined,
    reason: RejectReason,
    message: string,
    packet?: Bytes,
  ): Decision {
    this.#options.onEvent({ kind: "refused", gateway: gateway.name, device, user, reason, message });
    return { kind: "reject", reason, message, packet };
  }

  /** A gateway cannot touch another's sessions by naming them. */
  #owns(session: string, { name }: Gateway): boolean {
    const holder = this.#conversations.get(session)?.query.gateway ?? this.#sessions.get(session)?.gateway;
    return holder === undefined || holder.name === name;
  }

  #dropStale(): void {
    const now = this.#options.clock.now();
    for (const [session, { deadline }] of this.#conversations) {
      if (deadline > now) break;
      this.#conversations.delete(session);
    }
  }
}

function isIdentityResponse(payload: Bytes): boolean {
  return payload.length >= 5 && payload[0] === 2 && payload[4] === 1;
}

/** Milliseconds that a device and its user have for all rounds of one authentication. */
const CONVERSATION_LIFE = 60_000;
/** Milliseconds that a session is kept beyond its timeout: the gateway's clock decides, and it says so. */
const EXPIRY_GRACE = 60_000;
