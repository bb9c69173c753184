/** An operator's AAA server in memory, gateways that record what they are told, and hosting parties with USIMs. */
import { Accounting } from "../../src/aaa/accounting.ts";
import { type DevicePolicy, Devices } from "../../src/aaa/devices.ts";
import { type Hss, LocalHss } from "../../src/aaa/hss/hss.ts";
import { Subscribers } from "../../src/aaa/hss/subscribers.ts";
import { Identities } from "../../src/aaa/identities.ts";
import { Pseudonyms } from "../../src/aaa/pseudonyms.ts";
import { type AaaEvent, type AaaOptions, AaaServer, type Decision, type EapQuery } from "../../src/aaa/server.ts";
import type { Gateway, Session } from "../../src/aaa/sessions.ts";
import { makeTables } from "../../src/aaa/tables.ts";
import type { Bytes } from "../../src/bytes/bytes.ts";
import { AkaPeer, firstIdentity } from "../../src/eap/aka/peer.ts";
import type { AkaPeerWorld } from "../../src/eap/aka/peerTypes.ts";
import { AKA, type AkaVariant, KDF_1 } from "../../src/eap/aka/variant.ts";
import type { EapRefusal, EapResult } from "../../src/eap/method.ts";
import { milenage } from "../../src/eap/milenage.ts";
import { EapPeer, type PeerEffect } from "../../src/eap/peer.ts";
import { World } from "../../src/sim/world.ts";
import type { Database } from "../../src/store/sql.ts";
import { SqliteDatabase } from "../../src/store/sqlite.ts";
import { Device } from "../eap/aka/conversation.ts";
import { peerOptions } from "../eap/aka/options.ts";

export const IMSI = "001010123456789";
export const K: Bytes = Buffer.from("465b5ce8b199b49faa5f0a2ee238a6bc", "hex");
export const OPC: Bytes = Buffer.from("cd63cb71954a9f4e48a5994e37a02baf", "hex");
const REALM = "nai.epc.mnc001.mcc001.3gppnetwork.org";

/** A gateway that does what the test says when it is told to end a session. */
export class RecordingGateway implements Gateway {
  readonly name: string;
  readonly told: string[] = [];
  obeys = true;
  tells = true;

  constructor(name: string) {
    this.name = name;
  }

  async abort({ id }: Session): Promise<boolean> {
    this.told.push(`abort ${id}`);
    return this.obeys;
  }

  tellsApart(): boolean {
    return this.tells;
  }

  async reauthorize({ id }: Session): Promise<boolean> {
    this.told.push(`reauthorize ${id}`);
    return this.obeys;
  }
}

export interface Operator {
  world: World;
  database: Database;
  subscribers: Subscribers;
  devices: Devices;
  aaa: AaaServer;
  events: AaaEvent[];
}

const OPEN_POLICY: DevicePolicy = {
  unknownDevices: "allow",
  authentication: "either",
  hostingPartyBinding: "off",
};

/** A server with one subscriber, IMSI. */
export async function operator(
  policy: Partial<DevicePolicy> = {},
  options: Partial<AaaOptions> & { database?: Database; replaceHss?: (local: Hss) => Hss } = {},
): Promise<Operator> {
  const world = new World("aaa", { loss: 0, duplicate: 0, delay: [1, 1] });
  const { database = new SqliteDatabase(":memory:"), replaceHss = (local) => local, ...more } = options;
  await makeTables(database);
  const subscribers = new Subscribers(database);
  if ((await subscribers.find(IMSI)) === undefined)
    await subscribers.add({ imsi: IMSI, algorithm: "milenage", k: K, opc: OPC });
  const devices = new Devices(database, { ...OPEN_POLICY, ...policy });
  const events: AaaEvent[] = [];
  const aaa = new AaaServer({
    clock: world,
    random: world.random,
    hss: replaceHss(new LocalHss(subscribers, world.random)),
    devices,
    identities: new Identities(await Pseudonyms.open(database, world, world.random)),
    accounting: new Accounting(database, world),
    aka: {
      networkName: "WLAN",
      alwaysAskIdentity: false,
      pseudonyms: true,
      maxReauthentications: 4,
      reauthRealm: undefined,
      resultIndications: false,
      keyDerivations: [KDF_1],
    },
    methods: ["EAP-AKA'", "EAP-AKA"],
    sessionTimeout: 3600,
    oneSessionPerDevice: true,
    limits: { sessions: 1000, conversations: 100 },
    onEvent: (event) => events.push(event),
    ...more,
  });
  return { world, database, subscribers, devices, aaa, events };
}

/** A subscriber's USIM in its device; remembers pseudonyms and the like from one authentication to the next. */
export class HostingParty {
  readonly card = new Device();
  readonly imsi: string;
  readonly #variant: AkaVariant;
  readonly #world: World;
  #peer: EapPeer<AkaPeerWorld> | undefined;
  result: EapResult | EapRefusal | undefined;

  constructor(world: World, { imsi = IMSI, k = K, opc = OPC, variant = AKA } = {}) {
    this.#world = world;
    this.imsi = imsi;
    this.#variant = variant;
    this.card.functions = milenage(k, opc);
  }

  /** Begins anew; gives the identity that goes into IDi. */
  begin(): string {
    const variant = this.#variant;
    const options = peerOptions(this.#world.random, {
      imsi: this.imsi,
      realm: REALM,
      remembered: this.card.remembered.get(variant.type) ?? { pseudonym: undefined, reauth: undefined },
    });
    const identity = firstIdentity(variant, options);
    this.result = undefined;
    this.#peer = new EapPeer<AkaPeerWorld>({
      identity: Buffer.from(identity, "latin1"),
      protectedBelow: false,
      methods: [{ type: variant.type, make: (said) => new AkaPeer(variant, options, said) }],
    });
    return identity;
  }

  /** Takes an EAP packet; gives the response, if there is one. */
  receive(packet: Buffer): Buffer | undefined {
    return this.#carryOut(this.#peer!.receive(packet));
  }

  #carryOut(effects: readonly PeerEffect<AkaPeerWorld>[]): Buffer | undefined {
    let response: Buffer | undefined;
    for (const effect of effects) {
      if (effect.kind === "send") response = effect.packet;
      else if (effect.kind === "ask")
        response = this.#carryOut(this.#peer!.answer(effect.askId, this.card.answer(effect.ask))) ?? response;
      else if (effect.kind === "store") this.card.remembered.set(effect.record.method, effect.record.identities);
      else if (effect.kind === "succeeded") this.result = effect.result;
      else if (effect.kind === "failed") this.result = effect.refusal;
    }
    return response;
  }
}

const EMPTY = Buffer.alloc(0);

/** Runs an authentication to its end; gives the server's last word. */
export async function authenticate(
  aaa: AaaServer,
  party: HostingParty,
  query: Partial<EapQuery> & Pick<EapQuery, "gateway" | "session">,
): Promise<Decision> {
  const base = { device: "ap-1.example", from: undefined, accountingId: undefined, ...query };
  let decision = await aaa.eap({ ...base, user: party.begin(), payload: EMPTY });
  for (let round = 0; round < 10 && decision.kind === "challenge"; round++) {
    const response = party.receive(decision.packet);
    if (response === undefined) return decision;
    decision = await aaa.eap({ ...base, user: undefined, payload: response });
  }
  const packet =
    decision.kind === "accept" ? decision.eap?.packet : decision.kind === "reject" ? decision.packet : undefined;
  if (packet !== undefined) party.receive(packet);
  return decision;
}
