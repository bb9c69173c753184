/**
 * The peer's end of EAP-AKA and EAP-AKA' (RFC 4187, RFC 9048): one authentication towards one server.
 *
 * The USIM is asked and answers; nothing else is. Whatever cannot be accepted ends in Client-Error or
 * Authentication-Reject and a typed refusal for people (RFC 4187 6.3.1): the server learns one bit, the user the cause.
 */
import type { Bytes } from "../../bytes/bytes.ts";
import { DecodeError } from "../../bytes/reader.ts";
import type { EapRefusal, EapResult, PeerMethod, PeerMethodEffect } from "../method.ts";
import { decodeEap } from "../packet.ts";
import type { UsimAnswer } from "../usim.ts";
import type { Attributes } from "./attributes.ts";
import { Checkcode } from "./checkcode.ts";
import { permanentIdentity, textOf, withRealmOf } from "./identity.ts";
import { deriveCkIkPrime } from "./keys.ts";
import {
  type AkaMessage,
  decodeAkaMessage,
  decryptAttributes,
  EncryptedIn,
  encodeAkaMessage,
  encryptAttributes,
  macIsRight,
} from "./message.ts";
import {
  BIDDING_PREFERS_AKA_PRIME,
  impliesSuccess,
  isBeforeAuthentication,
  Notification,
  UNABLE_TO_PROCESS_PACKET,
} from "./numbers.ts";
import { type Negotiation, negotiateDerivation } from "./peerDerivation.ts";
import type {
  AkaPeerAnswer,
  AkaPeerOptions,
  AkaPeerRefusal,
  AkaPeerState,
  AkaPeerWorld,
  ClientErrorReason,
  PeerOutcome,
  RememberedIdentities,
} from "./peerTypes.ts";
import { ID_REQUESTS, type ReauthContext } from "./serverTypes.ts";
import { AKA_DERIVATION, type AkaVariant, type KeyDerivation } from "./variant.ts";

type Effects = PeerMethodEffect<AkaPeerWorld>[];
type Request = AkaMessage<"request">;
type RequestOf<S extends Request["subtype"]> = Extract<Request, { subtype: S }>;

/** The identity to name before a method has begun: the one that reveals least (RFC 4187 4.1.1). */
export function firstIdentity(variant: AkaVariant, { imsi, realm, remembered }: AkaPeerOptions): string {
  return remembered.reauth?.identity ?? remembered.pseudonym ?? permanentIdentity(variant, imsi, realm);
}

export class AkaPeer implements PeerMethod<AkaPeerWorld> {
  readonly type: number;
  readonly #variant: AkaVariant;
  readonly #options: AkaPeerOptions;
  readonly #permanent: string;
  readonly #checkcode: Checkcode;
  #state: AkaPeerState = { kind: "ExpectRequest" };
  /** What was said last, as it goes into the keys. */
  #identity: Bytes;
  #remembered: RememberedIdentities;
  /** Place in ID_REQUESTS of the last AKA-Identity request; -1 before the first. */
  #asked = -1;
  /** A challenge or fast re-authentication came: no identity is asked for any more. */
  #challenged = false;
  #notified = false;
  #syncFailures = 0;
  #negotiation: Negotiation | undefined;

  /** `identity` is what this side said in EAP-Response/Identity or by the layer below. */
  constructor(variant: AkaVariant, options: AkaPeerOptions, identity: Bytes) {
    this.type = variant.type;
    this.#variant = variant;
    this.#options = options;
    this.#permanent = permanentIdentity(variant, options.imsi, options.realm);
    this.#checkcode = new Checkcode(variant);
    this.#identity = identity;
    this.#remembered = options.remembered;
  }

  receive(request: Bytes): Effects {
    const state = this.#state;
    if (state.kind !== "ExpectRequest" && state.kind !== "ExpectOutcome")
      return [{ kind: "discard", problem: `a request in state ${state.kind}` }];
    return this.#guarded(request, () => {
      const message = decodeAkaMessage("request", this.#variant, request);
      const outcome = state.kind === "ExpectOutcome" ? state.outcome : undefined;
      if (message.subtype === "notification") return this.#onNotification(message, request, outcome);
      if (outcome !== undefined)
        return this.#clientError(request, "UnexpectedRequest", `a request ${message.subtype} after authentication`);
      switch (message.subtype) {
        case "identity":
          return this.#onIdentityRequest(message, request);
        case "challenge":
          return this.#onChallenge(message, request);
        case "reauthentication":
          return this.#onReauthentication(message, request);
      }
    });
  }

  answer({ answer }: AkaPeerAnswer): Effects {
    if (this.#state.kind !== "AwaitUsim") return [{ kind: "discard", problem: "an answer that nobody asked for" }];
    const { request } = this.#state;
    return this.#guarded(request, () => {
      const message = decodeAkaMessage("request", this.#variant, request) as RequestOf<"challenge">;
      switch (answer.kind) {
        case "authenticated":
          return this.#onAuthenticated(message, request, answer);
        case "syncFailure":
          return this.#onSyncFailure(message, request, answer.auts);
        case "macFailure":
          return this.#reject(request, "NetworkNotAuthentic", "AUTN was not made with the key of this USIM");
        case "unavailable":
          return this.#clientError(request, "UsimUnavailable", answer.message);
      }
    });
  }

  succeed(): EapResult | undefined {
    if (this.#state.kind === "ExpectSuccess") return this.#state.result;
    // RFC 4187 6.3.4: not before the success notification where one was agreed on.
    if (this.#state.kind === "ExpectOutcome" && !this.#state.outcome.indicated) return this.#state.outcome.result;
    return undefined;
  }

  fail(): EapRefusal | undefined {
    return this.#state.kind === "ExpectFailure" ? this.#state.refusal : undefined;
  }

  // ---- Identity (RFC 4187 4.1) ----

  #onIdentityRequest({ attributes }: RequestOf<"identity">, request: Bytes): Effects {
    const asked = ID_REQUESTS.filter((name) => attributes[name] === true);
    const place = ID_REQUESTS.indexOf(asked[0] ?? "AT_ANY_ID_REQ");
    // RFC 4187 4.1.5: each round asks for a more permanent identity, and none comes after the challenge.
    if (asked.length !== 1 || place <= this.#asked || this.#challenged)
      return this.#clientError(request, "IdentityRequestOutOfOrder", `${asked.join(", ")} after an earlier request`);
    this.#asked = place;
    const { reauth, pseudonym } = this.#remembered;
    let identity = this.#permanent;
    if (place === ID_REQUESTS.indexOf("AT_ANY_ID_REQ") && reauth !== undefined) identity = reauth.identity;
    else if (place < ID_REQUESTS.indexOf("AT_PERMANENT_ID_REQ") && pseudonym !== undefined) identity = pseudonym;
    if (identity === this.#permanent && pseudonym !== undefined && !this.#options.revealPermanent)
      return this.#clientError(
        request,
        "PermanentIdentityWithheld",
        "the server asks for the permanent identity although it gave a pseudonym (RFC 4187 4.1.6)",
      );
    this.#identity = Buffer.from(identity, "latin1");
    const effects = this.#respond(request, "identity", { AT_IDENTITY: this.#identity });
    this.#checkcode.add(request);
    for (const effect of effects) if (effect.kind === "response") this.#checkcode.add(effect.packet);
    return effects;
  }

  // ---- Full authentication (RFC 4187 3, RFC 9048 3) ----

  #onChallenge({ attributes }: RequestOf<"challenge">, request: Bytes): Effects {
    this.#challenged = true;
    if (!this.#checkcode.agrees(attributes.AT_CHECKCODE))
      return this.#clientError(request, "WrongCheckcode", "the server saw other AKA-Identity messages");
    if (this.#variant.name === "EAP-AKA") {
      // RFC 9048 4: as if AUTN had been wrong.
      if (((attributes.AT_BIDDING ?? 0) & BIDDING_PREFERS_AKA_PRIME) !== 0 && this.#options.acceptsAkaPrime)
        return this.#reject(request, "BiddingDown", "both ends know EAP-AKA', but somebody made them choose EAP-AKA");
    } else {
      const negotiated = negotiateDerivation(attributes, this.#options, this.#negotiation);
      switch (negotiated.kind) {
        case "reject":
          return this.#reject(request, negotiated.reason, negotiated.message);
        case "tampered":
          return this.#clientError(request, "KdfListChanged", negotiated.message);
        case "choose":
          this.#negotiation = negotiated.negotiation;
          return this.#respond(request, "challenge", { AT_KDF: [negotiated.negotiation.chosen] });
        case "agreed":
          break;
      }
      // TS 33.402 6.2: without the bit the vector was made for something else.
      if ((attributes.AT_AUTN[6]! & 0x80) === 0)
        return this.#reject(request, "NotSeparated", "the separation bit of AMF is not set (RFC 9048 3.3)");
    }
    this.#state = { kind: "AwaitUsim", request };
    return [{ kind: "ask", ask: { ask: "usim", rand: attributes.AT_RAND, autn: attributes.AT_AUTN } }];
  }

  #onAuthenticated(
    { attributes, macOffset }: RequestOf<"challenge">,
    request: Bytes,
    { res, ck, ik }: Extract<UsimAnswer, { kind: "authenticated" }>,
  ): Effects {
    const { AT_RAND: rand, AT_AUTN: autn } = attributes;
    const bound =
      this.#variant.name === "EAP-AKA" ? { ck, ik } : deriveCkIkPrime(ck, ik, attributes.AT_KDF_INPUT!, autn);
    const { kEncr, kAut, reauthSecret, msk, emsk } = this.#derivation(attributes).derive(
      this.#identity,
      bound.ck,
      bound.ik,
    );
    if (!macIsRight(this.#variant, kAut, request, macOffset))
      return this.#clientError(request, "WrongMac", "AT_MAC of the challenge is wrong: it was changed on its way");
    const learned =
      attributes.AT_ENCR_DATA === undefined ? {} : decryptAttributes(kEncr, attributes, EncryptedIn.challenge);
    const context = { variant: this.#variant.name, imsi: this.#options.imsi, kEncr, kAut, secret: reauthSecret };
    const store = this.#learn(learned, { ...context, counter: 1 });
    const indicated = this.#indicates(attributes);
    this.#state = {
      kind: "ExpectOutcome",
      outcome: {
        result: this.#result({ msk, emsk }, [rand, autn], false),
        protection: { kAut, kEncr, counter: undefined },
        indicated,
      },
    };
    return [...store, ...this.#respond(request, "challenge", { AT_RES: res, ...this.#checks(indicated) }, { kAut })];
  }

  #onSyncFailure({ attributes }: RequestOf<"challenge">, request: Bytes, auts: Bytes): Effects {
    if (++this.#syncFailures > MAX_SYNC_FAILURES)
      return this.#clientError(request, "CannotSynchronize", "SQN is still unacceptable after a resynchronization");
    this.#state = { kind: "ExpectRequest" };
    // RFC 9048 3.2: the list of functions comes back whole.
    const kdfs = attributes.AT_KDF === undefined ? {} : { AT_KDF: attributes.AT_KDF };
    return this.#respond(request, "synchronizationFailure", { AT_AUTS: auts, ...kdfs });
  }

  /** The function that the first AT_KDF names, which `negotiateDerivation` found acceptable. */
  #derivation({ AT_KDF: kdfs }: Attributes): KeyDerivation {
    if (this.#variant.name === "EAP-AKA") return AKA_DERIVATION;
    return this.#options.keyDerivations.find(({ kdf }) => kdf === kdfs?.[0])!;
  }

  // ---- Fast re-authentication (RFC 4187 5) ----

  #onReauthentication({ attributes, macOffset }: RequestOf<"reauthentication">, request: Bytes): Effects {
    this.#challenged = true;
    const { reauth } = this.#remembered;
    if (reauth === undefined || reauth.identity !== textOf(this.#identity))
      return this.#clientError(request, "NoReauthentication", "no identity for fast re-authentication was given");
    const { kEncr, kAut, secret } = reauth;
    if (!macIsRight(this.#variant, kAut, request, macOffset))
      return this.#clientError(request, "WrongMac", "AT_MAC of the fast re-authentication is wrong");
    if (!this.#checkcode.agrees(attributes.AT_CHECKCODE))
      return this.#clientError(request, "WrongCheckcode", "the server saw other AKA-Identity messages");
    const inner = decryptAttributes(kEncr, attributes, EncryptedIn.reauthenticationRequest);
    const { AT_COUNTER: counter, AT_NONCE_S: nonceS } = inner;
    if (counter === undefined || nonceS === undefined)
      return this.#clientError(request, "MalformedRequest", "AT_COUNTER or AT_NONCE_S is missing (RFC 4187 9.7)");
    const indicated = this.#indicates(attributes);
    const answer = (flags: Attributes): Effects =>
      this.#respond(
        request,
        "reauthentication",
        {
          ...encryptAttributes(kEncr, this.#options.random.bytes(16), { ...flags, AT_COUNTER: counter }),
          ...this.#checks(indicated),
        },
        { kAut, extra: nonceS },
      );
    // RFC 4187 5.5: a counter that was seen may be a replay; a full authentication decides.
    if (counter < reauth.counter) {
      const store = this.#remember({ ...this.#remembered, reauth: undefined });
      return [...store, ...answer({ AT_COUNTER_TOO_SMALL: true })];
    }
    const store = this.#learn(inner, { ...reauth, counter: counter + 1 });
    const keys = this.#variant.reauthKeys(secret, this.#identity, counter, nonceS);
    const mac = request.subarray(macOffset!, macOffset! + 16);
    this.#state = {
      kind: "ExpectOutcome",
      outcome: { result: this.#result(keys, [nonceS, mac], true), protection: { kAut, kEncr, counter }, indicated },
    };
    return [...store, ...answer({})];
  }

  // ---- Notifications (RFC 4187 6) ----

  #onNotification(message: RequestOf<"notification">, request: Bytes, outcome: PeerOutcome | undefined): Effects {
    const { attributes, macOffset } = message;
    const code = attributes.AT_NOTIFICATION;
    const success = impliesSuccess(code);
    const early = isBeforeAuthentication(code);
    if (this.#notified) return this.#clientError(request, "NotifiedTwice", "a second AKA-Notification (RFC 4187 6.1)");
    this.#notified = true;
    if (early && success)
      return this.#clientError(request, "MalformedRequest", `notification ${code} is both success and early`);
    const protection = early ? undefined : outcome?.protection;
    if (!early) {
      const proven =
        protection !== undefined &&
        macIsRight(this.#variant, protection.kAut, request, macOffset) &&
        (protection.counter === undefined ||
          decryptAttributes(protection.kEncr, attributes, EncryptedIn.notification).AT_COUNTER === protection.counter);
      if (!proven)
        return this.#clientError(request, "WrongMac", `notification ${code} is not protected by the keys agreed on`);
    }
    if (!success)
      this.#state = {
        kind: "ExpectFailure",
        refusal: { reason: "Notified", message: describe(code), by: "them", evidence: { code } },
      };
    else if (code === Notification.SUCCESS && outcome?.indicated === true)
      this.#state = { kind: "ExpectSuccess", result: outcome.result };
    const counter =
      protection?.counter === undefined
        ? {}
        : encryptAttributes(protection.kEncr, this.#options.random.bytes(16), { AT_COUNTER: protection.counter });
    return this.#respond(request, "notification", counter, protection);
  }

  // ---- What all of them do ----

  /** Agreed on only where the server offers it (RFC 4187 6.2). */
  #indicates(attributes: Attributes): boolean {
    return this.#options.resultIndications && attributes.AT_RESULT_IND === true;
  }

  #checks(indicated: boolean): Attributes {
    return { AT_CHECKCODE: this.#checkcode.value(), ...(indicated ? { AT_RESULT_IND: true } : {}) };
  }

  /**
   * Takes what the server gave. An identity for fast re-authentication that was used is gone either way, and so is a
   * pseudonym that the server did not take (RFC 4187 4.1.1.6).
   */
  #learn(
    { AT_NEXT_PSEUDONYM: pseudonym, AT_NEXT_REAUTH_ID: reauth }: Attributes,
    context: Omit<ReauthContext, "identity">,
  ): Effects {
    const kept = textOf(this.#identity) === this.#permanent ? undefined : this.#remembered.pseudonym;
    return this.#remember({
      pseudonym: pseudonym === undefined ? kept : withRealmOf(textOf(pseudonym), this.#permanent),
      reauth: reauth === undefined ? undefined : { ...context, identity: textOf(reauth) },
    });
  }

  #remember(identities: RememberedIdentities): Effects {
    this.#remembered = identities;
    return [{ kind: "store", record: { record: "identities", method: this.type, identities } }];
  }

  #result({ msk, emsk }: { msk: Bytes; emsk: Bytes }, methodId: readonly Bytes[], fast: boolean): EapResult {
    return {
      method: this.type,
      subscriber: this.#options.imsi,
      identity: textOf(this.#identity),
      reauthentication: fast,
      msk,
      emsk,
      sessionId: Buffer.concat([Buffer.from([this.type]), ...methodId]),
    };
  }

  #respond(
    request: Bytes,
    subtype: AkaMessage<"response">["subtype"],
    attributes: Attributes,
    mac?: { kAut: Bytes; extra?: Bytes },
  ): Effects {
    const { id } = decodeEap(request);
    return [{ kind: "response", packet: encodeAkaMessage("response", this.#variant, id, subtype, attributes, mac) }];
  }

  #reject(request: Bytes, reason: AkaPeerRefusal["reason"], message: string): Effects {
    this.#state = { kind: "ExpectFailure", refusal: { reason, message, by: "us" } };
    return this.#respond(request, "authenticationReject", {});
  }

  #clientError(request: Bytes, reason: ClientErrorReason, message: string): Effects {
    this.#state = { kind: "ExpectFailure", refusal: { reason, message, by: "us" } };
    return this.#respond(request, "clientError", { AT_CLIENT_ERROR_CODE: UNABLE_TO_PROCESS_PACKET });
  }

  /** Turns what cannot be decoded into Client-Error. */
  #guarded(request: Bytes, action: () => Effects): Effects {
    try {
      return action();
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      return this.#clientError(request, "MalformedRequest", error.message);
    }
  }
}

function describe(code: number): string {
  switch (code) {
    case Notification.NOT_SUBSCRIBED:
      return "the operator says that the user is not subscribed to this service (1031)";
    case Notification.TEMPORARILY_DENIED:
      return "the operator denies the user this service for the time being (1026)";
    default:
      return `the server says failure (notification ${code})`;
  }
}

/** A server that knows K needs one; more of them are a replay. */
const MAX_SYNC_FAILURES = 2;
