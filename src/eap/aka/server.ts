/**
 * The server's end of EAP-AKA and EAP-AKA' (RFC 4187, RFC 9048): one authentication of one subscriber.
 *
 * The state says what is waited for; the identity that the peer sent last, the AKA-Identity messages and how far the
 * rounds for an identity went are the conversation's, whatever the state. Vectors, pseudonyms and contexts of fast
 * re-authentications are asked for and answered. An error of the peer ends in a notification and EAP-Failure, never in
 * silence (RFC 4187 6.3.2); what the peer is told is no more than the standard's codes.
 */
import { type Bytes, EMPTY } from "../../bytes/bytes.ts";
import { DecodeError } from "../../bytes/reader.ts";
import type { EapResult, ServerMethod, ServerMethodEffect } from "../method.ts";
import type { Attributes } from "./attributes.ts";
import { Checkcode } from "./checkcode.ts";
import { readIdentity, textOf, usernameOf } from "./identity.ts";
import {
  type AkaMessage,
  decodeAkaMessage,
  decryptAttributes,
  EncryptedIn,
  encodeAkaMessage,
  encryptAttributes,
  macIsRight,
} from "./message.ts";
import { Notification } from "./numbers.ts";
import {
  encodeChallenge,
  judgeChallengeResponse,
  makeChallenge,
  offeredKdfs,
  renegotiated,
  type ServerContext,
  vectorProblem,
} from "./serverChallenge.ts";
import { judgeReauthenticationResponse, makeReauthentication } from "./serverReauth.ts";
import {
  type AkaServerAnswer,
  type AkaServerAsk,
  type AkaServerOptions,
  type AkaServerRefusal,
  type AkaServerState,
  type AkaServerWorld,
  type Challenge,
  ID_REQUESTS,
  type IdRequest,
  type Protection,
  type ReauthContext,
  type Reauthentication,
  type Resync,
} from "./serverTypes.ts";
import type { AkaVariant } from "./variant.ts";

type Effects = ServerMethodEffect<AkaServerWorld>[];
type In<K extends AkaServerState["kind"]> = Extract<AkaServerState, { kind: K }>;
type Response = AkaMessage<"response">;

export class AkaServer implements ServerMethod<AkaServerWorld> {
  readonly type: number;
  readonly #variant: AkaVariant;
  readonly #options: AkaServerOptions;
  readonly #checkcode: Checkcode;
  #state: AkaServerState = { kind: "Idle" };
  #identity: Bytes = EMPTY;
  /** Place in ID_REQUESTS of the last AKA-Identity request; -1 before the first. */
  #asked = -1;

  constructor(variant: AkaVariant, options: AkaServerOptions) {
    this.type = variant.type;
    this.#variant = variant;
    this.#options = options;
    this.#checkcode = new Checkcode(variant);
  }

  begin(identity: Bytes | undefined, nextId: number): Effects {
    if (identity === undefined || this.#options.alwaysAskIdentity) return this.#askIdentity("AT_ANY_ID_REQ", nextId);
    this.#identity = identity;
    return this.#consider(nextId);
  }

  receive(response: Bytes, nextId: number): Effects {
    try {
      const message = decodeAkaMessage("response", this.#variant, response);
      return this.#onMessage(message, response, nextId);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      return this.#refuse({ reason: "MalformedResponse", message: error.message, by: "us" }, nextId);
    }
  }

  answer(answer: AkaServerAnswer, nextId: number): Effects {
    const state = this.#state;
    switch (answer.ask) {
      case "resolvePseudonym":
        if (state.kind !== "AwaitPseudonym") break;
        return answer.imsi === undefined
          ? this.#askIdentity("AT_PERMANENT_ID_REQ", nextId)
          : this.#askVector(answer.imsi, undefined, undefined);
      case "takeReauth":
        if (state.kind !== "AwaitReauthContext") break;
        return this.#onReauthContext(answer.context, nextId);
      case "vector":
        if (state.kind !== "AwaitVector") break;
        return this.#onVector(state, answer, nextId);
      case "authorize":
        if (state.kind !== "AwaitAuthorization") break;
        return this.#onAuthorization(state, answer.verdict, nextId);
    }
    return [{ kind: "discard", problem: `an answer to "${answer.ask}" in state ${state.kind}` }];
  }

  #onMessage(message: Response, packet: Bytes, nextId: number): Effects {
    const state = this.#state;
    if (message.subtype === "clientError") return this.#onClientError(message.attributes.AT_CLIENT_ERROR_CODE);
    switch (state.kind) {
      case "ExpectIdentity":
        if (message.subtype !== "identity") return this.#unexpected(message, nextId);
        return this.#onIdentity(message.attributes.AT_IDENTITY, packet, nextId);
      case "ExpectChallenge":
        return this.#onChallengeResponse(state.challenge, message, packet, nextId);
      case "ExpectReauthentication":
        return this.#onReauthenticationResponse(state.reauthentication, message, packet, nextId);
      case "ExpectNotification":
        return this.#onNotificationResponse(state, message, packet);
      default:
        return [{ kind: "discard", problem: `a response in state ${state.kind}` }];
    }
  }

  // ---- Who is it? (RFC 4187 4.1) ----

  /** Asks for an identity; each round must ask for a more permanent one than the last, so there are at most three. */
  #askIdentity(request: IdRequest, id: number): Effects {
    const place = ID_REQUESTS.indexOf(request);
    if (place <= this.#asked)
      return this.#refuse(
        {
          reason: "NoUsableIdentity",
          message: `${printable(this.#identity)} leads to no subscriber, and the peer has no other identity`,
          by: "us",
        },
        id,
      );
    this.#asked = place;
    this.#state = { kind: "ExpectIdentity" };
    const packet = encodeAkaMessage("request", this.#variant, id, "identity", { [request]: true });
    this.#checkcode.add(packet);
    return [{ kind: "request", packet }];
  }

  #onIdentity(identity: Bytes, packet: Bytes, nextId: number): Effects {
    this.#identity = Buffer.from(identity);
    this.#checkcode.add(packet);
    return this.#consider(nextId);
  }

  /** Decides by the identity at hand. What was not asked for is no usable answer (RFC 4187 4.1.5). */
  #consider(nextId: number): Effects {
    const identity = readIdentity(this.#variant, this.#identity);
    switch (identity.kind) {
      case "permanent":
        return this.#askVector(identity.imsi, undefined, undefined);
      case "pseudonym":
        if (this.#asked >= ID_REQUESTS.indexOf("AT_PERMANENT_ID_REQ")) break;
        this.#state = { kind: "AwaitPseudonym" };
        return ask({ ask: "resolvePseudonym", username: identity.username });
      case "reauth":
        if (this.#asked >= ID_REQUESTS.indexOf("AT_FULLAUTH_ID_REQ")) break;
        if (this.#options.maxReauthentications === 0) return this.#askIdentity("AT_FULLAUTH_ID_REQ", nextId);
        this.#state = { kind: "AwaitReauthContext" };
        return ask({ ask: "takeReauth", username: identity.username });
      case "unknown":
        break;
    }
    return this.#askIdentity("AT_ANY_ID_REQ", nextId);
  }

  // ---- Full authentication ----

  /** The subscriber's vectors come from the HSS (TS 33.320 A.2-4). */
  #askVector(imsi: string, resync: Resync | undefined, before: Challenge | undefined): Effects {
    this.#state = { kind: "AwaitVector", imsi, before };
    const { name } = this.#variant;
    return ask({ ask: "vector", imsi, method: name, networkName: this.#options.networkName, resync });
  }

  #onVector(
    { imsi, before }: In<"AwaitVector">,
    answer: Extract<AkaServerAnswer, { ask: "vector" }>,
    nextId: number,
  ): Effects {
    if ("refusal" in answer)
      return this.#refuse({ reason: answer.refusal, message: answer.message, by: "us", evidence: { imsi } }, nextId);
    const problem = vectorProblem(answer.vector);
    if (problem !== undefined)
      return this.#refuse({ reason: "BadVector", message: `the HSS gave a vector whose ${problem}`, by: "us" }, nextId);
    return this.#challenge(makeChallenge(this.#context, imsi, answer.vector, before), nextId);
  }

  #challenge(challenge: Challenge, id: number): Effects {
    this.#state = { kind: "ExpectChallenge", challenge };
    return [{ kind: "request", packet: encodeChallenge(this.#context, challenge, id) }];
  }

  #onChallengeResponse(challenge: Challenge, message: Response, packet: Bytes, nextId: number): Effects {
    switch (message.subtype) {
      case "challenge": {
        const verdict = judgeChallengeResponse(this.#context, challenge, message, packet);
        if (verdict.kind === "wrong") return this.#refuse(verdict.refusal, nextId);
        if (verdict.kind === "otherDerivation")
          return this.#challenge(renegotiated(this.#context, challenge, verdict.derivation), nextId);
        return this.#authenticated(challenge, verdict.indicate, nextId);
      }
      case "authenticationReject":
        return this.#end({
          reason: "AuthenticationRejected",
          message:
            "the USIM does not accept AUTN: K or OPc differ, or the network name or key derivation does not suit it",
          by: "them",
          evidence: { imsi: challenge.imsi },
        });
      case "synchronizationFailure":
        return this.#onSynchronizationFailure(challenge, message.attributes, nextId);
      default:
        return this.#unexpected(message, nextId);
    }
  }

  #onSynchronizationFailure(
    challenge: Challenge,
    { AT_AUTS: auts, AT_KDF: kdfs }: Attributes,
    nextId: number,
  ): Effects {
    // RFC 9048 3.2: AT_KDF comes back as it was sent, lest somebody shorten the list unseen.
    const expected = this.#variant.name === "EAP-AKA'" ? offeredKdfs(this.#context, challenge) : [];
    if (String(kdfs ?? []) !== String(expected))
      return this.#refuse(
        { reason: "WrongKdf", message: "AT_KDF of the synchronization failure is not what was offered", by: "us" },
        nextId,
      );
    if (challenge.resyncs >= MAX_RESYNCS)
      return this.#refuse(
        {
          reason: "CannotSynchronize",
          message: "the USIM refuses SQN even after a resynchronization",
          by: "us",
          evidence: { imsi: challenge.imsi },
        },
        nextId,
      );
    const resync = { rand: challenge.vector.rand, auts: Buffer.from(auts!) };
    return this.#askVector(challenge.imsi, resync, { ...challenge, resyncs: challenge.resyncs + 1 });
  }

  #authenticated({ imsi, vector, keys, nextPseudonym, nextReauth }: Challenge, indicate: boolean, id: number): Effects {
    const effects: Effects = [];
    if (nextPseudonym !== undefined && this.#options.newPseudonym === undefined)
      effects.push({ kind: "store", record: { record: "pseudonym", username: nextPseudonym, imsi } });
    const { kEncr, kAut, reauthSecret: secret } = keys;
    if (nextReauth !== undefined)
      effects.push(
        storeReauth({ variant: this.#variant.name, identity: nextReauth, imsi, counter: 1, kEncr, kAut, secret }),
      );
    const sessionId = Buffer.concat([Buffer.from([this.type]), vector.rand, vector.autn]);
    const result = this.#result(imsi, keys, sessionId, false);
    return [...effects, ...this.#authorize(result, { kAut, kEncr, counter: undefined }, indicate, id)];
  }

  // ---- Fast re-authentication ----

  #onReauthContext(context: ReauthContext | undefined, nextId: number): Effects {
    // The identity goes into the keys but not into AT_MAC: one that was changed on its way must not get this far.
    if (context?.variant !== this.#variant.name || context.identity !== textOf(this.#identity))
      return this.#askIdentity("AT_FULLAUTH_ID_REQ", nextId);
    // The subscriber is known, so a full authentication needs no further round.
    if (context.counter > this.#options.maxReauthentications)
      return this.#askVector(context.imsi, undefined, undefined);
    const { packet, reauthentication } = makeReauthentication(this.#context, context, nextId);
    this.#state = { kind: "ExpectReauthentication", reauthentication };
    return [{ kind: "request", packet }];
  }

  #onReauthenticationResponse(
    reauthentication: Reauthentication,
    message: Response,
    packet: Bytes,
    nextId: number,
  ): Effects {
    if (message.subtype !== "reauthentication") return this.#unexpected(message, nextId);
    const { context, keys, nonceS, nextReauth, mac } = reauthentication;
    const verdict = judgeReauthenticationResponse(this.#context, reauthentication, message, packet);
    if (verdict.kind === "wrong") return this.#refuse(verdict.refusal, nextId);
    if (verdict.kind === "counterTooSmall") return this.#askVector(context.imsi, undefined, undefined);
    const effects: Effects =
      nextReauth === undefined ? [] : [storeReauth({ ...context, identity: nextReauth, counter: context.counter + 1 })];
    const sessionId = Buffer.concat([Buffer.from([this.type]), nonceS, mac]);
    const result = this.#result(context.imsi, keys, sessionId, true);
    const { kAut, kEncr, counter } = context;
    return [...effects, ...this.#authorize(result, { kAut, kEncr, counter }, verdict.indicate, nextId)];
  }

  // ---- The end ----

  #authorize(result: EapResult, protection: Protection, indicate: boolean, id: number): Effects {
    if (!this.#options.authorize) return this.#conclude(result, protection, indicate, id);
    this.#state = { kind: "AwaitAuthorization", result, protection, indicate };
    return ask({ ask: "authorize", imsi: result.subscriber });
  }

  #onAuthorization(
    { result, protection, indicate }: In<"AwaitAuthorization">,
    verdict: "allowed" | "notSubscribed" | "temporarilyDenied",
    nextId: number,
  ): Effects {
    if (verdict === "allowed") return this.#conclude(result, protection, indicate, nextId);
    const [code, reason] =
      verdict === "notSubscribed"
        ? ([Notification.NOT_SUBSCRIBED, "NotSubscribed"] as const)
        : ([Notification.TEMPORARILY_DENIED, "TemporarilyDenied"] as const);
    const refusal: AkaServerRefusal = {
      reason,
      message: "the subscriber is authentic but not authorized",
      by: "us",
      evidence: { imsi: result.subscriber },
    };
    return this.#notify(code, protection, refusal, nextId);
  }

  #conclude(result: EapResult, protection: Protection, indicate: boolean, id: number): Effects {
    if (indicate) return this.#notify(Notification.SUCCESS, protection, result, id);
    this.#state = { kind: "Ended" };
    return [{ kind: "success", result }];
  }

  #notify(
    code: number,
    protection: Protection | undefined,
    outcome: EapResult | AkaServerRefusal,
    id: number,
  ): Effects {
    this.#state = { kind: "ExpectNotification", outcome, protection };
    const attributes: Attributes = { AT_NOTIFICATION: code };
    if (protection?.counter !== undefined)
      Object.assign(
        attributes,
        encryptAttributes(protection.kEncr, this.#options.random.bytes(16), { AT_COUNTER: protection.counter }),
      );
    const packet = encodeAkaMessage("request", this.#variant, id, "notification", attributes, protection);
    return [{ kind: "request", packet }];
  }

  /** Only an answer that proves the peer got it right makes a success of a success indication (RFC 4187 6.2, 9.11). */
  #onNotificationResponse(
    { outcome, protection }: In<"ExpectNotification">,
    message: Response,
    packet: Bytes,
  ): Effects {
    if ("reason" in outcome) return this.#end(outcome);
    const proven =
      message.subtype === "notification" &&
      protection !== undefined &&
      macIsRight(this.#variant, protection.kAut, packet, message.macOffset) &&
      (protection.counter === undefined ||
        decryptAttributes(protection.kEncr, message.attributes, EncryptedIn.notification).AT_COUNTER ===
          protection.counter);
    if (!proven)
      return this.#end({
        reason: "WrongMac",
        message: "the answer to the success notification is not protected by the keys agreed on",
        by: "us",
      });
    this.#state = { kind: "Ended" };
    return [{ kind: "success", result: outcome }];
  }

  #onClientError(code: number): Effects {
    // The error may answer a notification of failure, whose cause is the one that counts.
    if (this.#state.kind === "ExpectNotification" && "reason" in this.#state.outcome)
      return this.#end(this.#state.outcome);
    return this.#end({
      reason: "ClientError",
      message: `the peer could not process what it got in state ${this.#state.kind} (code ${code})`,
      by: "them",
    });
  }

  #unexpected({ subtype }: Response, nextId: number): Effects {
    const message = `a response ${subtype} in state ${this.#state.kind}`;
    return this.#refuse({ reason: "UnexpectedResponse", message, by: "us" }, nextId);
  }

  /** RFC 4187 6.3.2: a notification of failure first, then EAP-Failure; but there is one notification only (6.1). */
  #refuse(refusal: AkaServerRefusal, id: number): Effects {
    if (this.#state.kind === "ExpectNotification")
      return this.#end("reason" in this.#state.outcome ? this.#state.outcome : refusal);
    return this.#notify(Notification.GENERAL_FAILURE, undefined, refusal, id);
  }

  #end(refusal: AkaServerRefusal): Effects {
    this.#state = { kind: "Ended" };
    return [{ kind: "failure", refusal }];
  }

  get #context(): ServerContext {
    return {
      variant: this.#variant,
      options: this.#options,
      identity: this.#identity,
      checkcode: this.#checkcode,
    };
  }

  #result(imsi: string, { msk, emsk }: { msk: Bytes; emsk: Bytes }, sessionId: Bytes, fast: boolean): EapResult {
    const identity = textOf(this.#identity);
    return { method: this.type, subscriber: imsi, identity, reauthentication: fast, msk, emsk, sessionId };
  }
}

function ask(question: AkaServerAsk): Effects {
  return [{ kind: "ask", ask: question }];
}

function storeReauth(context: ReauthContext): Effects[number] {
  return { kind: "store", record: { record: "reauth", username: usernameOf(context.identity), context } };
}

/** An identity as people may see it. */
function printable(identity: Bytes): string {
  const text = textOf(identity)
    .slice(0, 64)
    .replace(/[^\x20-\x7e]/g, "?");
  return text === "" ? "no identity" : text;
}

/** One suffices where HSS and USIM agree on K (TS 33.102 6.3.5). */
const MAX_RESYNCS = 1;
