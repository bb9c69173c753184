/**
 * Proposals: what we offer and accept, and how one is chosen (RFC 7296 2.7, 3.3).
 *
 * A proposal is written as strongSwan writes it ("aes256gcm16-prfsha256-x25519"), since that is what the people who
 * configure gateways already know. The responder prefers its own order, so that an operator's policy wins.
 */
import type { Bytes } from "../../bytes/bytes.ts";
import type { EspEncryption, EspIntegrity, EspSuite } from "../../esp/dataPlane.ts";
import type { Proposal, Transform } from "../codec/message.ts";
import { Encr, Esn, Group, Integ, Prf, Protocol, TransformType } from "../codec/numbers.ts";
import type { IkeSuite } from "../crypto/suite.ts";

interface Cipher {
  id: number;
  keyLength: number;
}

/** The algorithms one IKE proposal offers, each list in order of preference. */
export interface IkeProposal {
  text: string;
  encr: readonly Cipher[];
  integ: readonly number[];
  prf: readonly number[];
  groups: readonly number[];
}

/** The algorithms one ESP proposal offers; `groups` empty means no perfect forward secrecy on rekeying. */
export interface EspProposal {
  text: string;
  encr: readonly Cipher[];
  integ: readonly number[];
  groups: readonly number[];
  esn: readonly number[];
}

/** A suite text that cannot be used, with what to write instead. */
export class ProposalSyntaxError extends Error {
  override readonly name = "ProposalSyntaxError";
}

export interface ProposalPolicy {
  /** Accepts 3DES, MODP-1024 and MODP-1536, for devices that know nothing better. */
  allowWeak: boolean;
}

/** Reads an IKE proposal such as "aes128-sha256-prfsha256-modp2048"; throws ProposalSyntaxError. */
export function parseIkeProposal(text: string, policy: ProposalPolicy = { allowWeak: false }): IkeProposal {
  const parts = tokens(text, policy);
  if (parts.encr.length === 0) throw new ProposalSyntaxError(`IKE proposal "${text}" names no cipher`);
  if (parts.groups.length === 0)
    throw new ProposalSyntaxError(`IKE proposal "${text}" names no key exchange group, e.g. x25519 or modp2048`);
  if (parts.esn.length > 0) throw new ProposalSyntaxError(`IKE proposal "${text}": esn belongs to ESP`);
  const aead = requireOneKind(text, parts);
  // As strongSwan does: where no PRF is named, the integrity algorithm's hash serves as one.
  const prf = parts.prf.length > 0 ? parts.prf : parts.integ.map((id) => PRF_OF_INTEG.get(id)!);
  if (prf.length === 0)
    throw new ProposalSyntaxError(`IKE proposal "${text}" needs a PRF beside an AEAD cipher, e.g. prfsha256`);
  return { text, encr: parts.encr, integ: aead ? [] : parts.integ, prf, groups: parts.groups };
}

/** Reads an ESP proposal such as "aes256gcm16-x25519-esn"; throws ProposalSyntaxError. */
export function parseEspProposal(text: string, policy: ProposalPolicy = { allowWeak: false }): EspProposal {
  const parts = tokens(text, policy);
  if (parts.encr.length === 0) throw new ProposalSyntaxError(`ESP proposal "${text}" names no cipher`);
  if (parts.prf.length > 0) throw new ProposalSyntaxError(`ESP proposal "${text}": a PRF belongs to IKE`);
  const aead = requireOneKind(text, parts);
  const esn = parts.esn.length > 0 ? parts.esn : [Esn.no];
  return { text, encr: parts.encr, integ: aead ? [] : parts.integ, groups: parts.groups, esn };
}

/** Our IKE proposals as SA payload content; `spi` is empty in IKE_SA_INIT and 8 octets on rekeying (RFC 7296 3.3.1). */
export function offerIke(proposals: readonly IkeProposal[], spi: Bytes): Proposal[] {
  return proposals.map((proposal, index) => ({
    number: index + 1,
    protocol: Protocol.IKE,
    spi,
    transforms: [
      ...ciphers(proposal.encr),
      ...proposal.prf.map((id) => ({ type: TransformType.PRF, id })),
      ...proposal.integ.map((id) => ({ type: TransformType.INTEG, id })),
      ...proposal.groups.map((id) => ({ type: TransformType.DH, id })),
    ],
  }));
}

/** Our ESP proposals; `withGroup` is false in IKE_AUTH, which has no KE payload (RFC 7296 1.2). */
export function offerEsp(proposals: readonly EspProposal[], spi: Bytes, withGroup: boolean): Proposal[] {
  return proposals.map((proposal, index) => ({
    number: index + 1,
    protocol: Protocol.ESP,
    spi,
    transforms: [
      ...ciphers(proposal.encr),
      ...proposal.integ.map((id) => ({ type: TransformType.INTEG, id })),
      ...(withGroup ? proposal.groups.map((id) => ({ type: TransformType.DH, id })) : []),
      ...proposal.esn.map((id) => ({ type: TransformType.ESN, id })),
    ],
  }));
}

export interface Chosen<Suite> {
  suite: Suite;
  /** What to answer with: the chosen proposal's number and exactly one transform of each type (RFC 7296 3.3.6). */
  transforms: Transform[];
  number: number;
  peerSpi: Bytes;
}

/** Chooses an IKE suite from an offer, by our preference; undefined means NO_PROPOSAL_CHOSEN. */
export function chooseIke(ours: readonly IkeProposal[], offered: readonly Proposal[]): Chosen<IkeSuite> | undefined {
  for (const own of ours) {
    for (const proposal of offered) {
      if (proposal.protocol !== Protocol.IKE) continue;
      const types = splitByType(proposal.transforms);
      if (types === undefined || types.esn.length > 0) continue;
      const encr = chooseCipher(own.encr, types.encr);
      const prf = first(own.prf, types.prf);
      const group = first(own.groups, types.dh);
      const integ = chooseInteg(own.integ, types.integ, encr);
      if (encr === undefined || prf === undefined || group === undefined || integ === undefined) continue;
      const transforms: Transform[] = [cipher(encr), { type: TransformType.PRF, id: prf }];
      if (integ !== Integ.NONE) transforms.push({ type: TransformType.INTEG, id: integ });
      transforms.push({ type: TransformType.DH, id: group });
      return { suite: { encr, integ, prf, group }, transforms, number: proposal.number, peerSpi: proposal.spi };
    }
  }
  return undefined;
}

/** An ESP suite with the group of its own Diffie-Hellman exchange, `Group.NONE` without one. */
export interface ChosenEsp {
  esp: EspSuite;
  group: number;
}

/**
 * Chooses an ESP suite from an offer, by our preference; undefined means NO_PROPOSAL_CHOSEN.
 * `withGroup` is false in IKE_AUTH, where Diffie-Hellman transforms mean nothing.
 */
export function chooseEsp(
  ours: readonly EspProposal[],
  offered: readonly Proposal[],
  withGroup: boolean,
): Chosen<ChosenEsp> | undefined {
  for (const own of ours) {
    for (const proposal of offered) {
      if (proposal.protocol !== Protocol.ESP || proposal.spi.length !== 4) continue;
      const types = splitByType(proposal.transforms);
      if (types === undefined || types.prf.length > 0) continue;
      const encr = chooseCipher(own.encr, types.encr);
      const integ = chooseInteg(own.integ, types.integ, encr);
      // A proposal without an ESN transform means 32-bit sequence numbers (RFC 7296 3.3.2, errata).
      const esn = first(own.esn, types.esn.length > 0 ? types.esn : [Esn.no]);
      const group = withGroup ? chooseGroup(own.groups, types.dh) : Group.NONE;
      if (encr === undefined || integ === undefined || esn === undefined || group === undefined) continue;
      const transforms: Transform[] = [cipher(encr)];
      if (integ !== Integ.NONE) transforms.push({ type: TransformType.INTEG, id: integ });
      if (group !== Group.NONE) transforms.push({ type: TransformType.DH, id: group });
      if (types.esn.length > 0) transforms.push({ type: TransformType.ESN, id: esn });
      const esp = espSuite(encr, integ, esn);
      if (esp === undefined) continue;
      return { suite: { esp, group }, transforms, number: proposal.number, peerSpi: proposal.spi };
    }
  }
  return undefined;
}

/** True if the group stands in one of the proposals, so that INVALID_KE_PAYLOAD may ask for it. */
export function offersGroup(proposals: readonly { groups: readonly number[] }[], group: number): boolean {
  return proposals.some((proposal) => proposal.groups.includes(group));
}

interface Parts {
  encr: Cipher[];
  integ: number[];
  prf: number[];
  groups: number[];
  esn: number[];
}

function tokens(text: string, policy: ProposalPolicy): Parts {
  const parts: Parts = { encr: [], integ: [], prf: [], groups: [], esn: [] };
  for (const token of text.toLowerCase().split("-")) {
    const entry = KEYWORDS.get(token);
    if (entry === undefined) {
      throw new ProposalSyntaxError(
        `"${token}" in proposal "${text}" is no algorithm known here; known are ${[...KEYWORDS.keys()].join(", ")}`,
      );
    }
    if (entry.weak === true && !policy.allowWeak) {
      throw new ProposalSyntaxError(
        `"${token}" in proposal "${text}" is too weak for today; set allowWeakAlgorithms to accept it for old devices`,
      );
    }
    if (entry.encr !== undefined) parts.encr.push(entry.encr);
    if (entry.integ !== undefined) parts.integ.push(entry.integ);
    if (entry.prf !== undefined) parts.prf.push(entry.prf);
    if (entry.group !== undefined) parts.groups.push(entry.group);
    if (entry.esn !== undefined) parts.esn.push(entry.esn);
  }
  return parts;
}

/** True for AEAD ciphers; a proposal that mixes them with others cannot say which of them need integrity (RFC 5282 8). */
function requireOneKind(text: string, parts: Parts): boolean {
  const aead = parts.encr.filter((entry) => entry.id === Encr.AES_GCM_16).length;
  if (aead > 0 && aead < parts.encr.length)
    throw new ProposalSyntaxError(`proposal "${text}" mixes AEAD and other ciphers; write two proposals`);
  if (aead > 0 && parts.integ.length > 0 && parts.prf.length > 0)
    throw new ProposalSyntaxError(`proposal "${text}": an AEAD cipher takes no integrity algorithm`);
  if (aead === 0 && parts.integ.length === 0)
    throw new ProposalSyntaxError(`proposal "${text}" needs an integrity algorithm, e.g. sha256`);
  return aead > 0;
}

interface OfferedTypes {
  encr: Transform[];
  prf: number[];
  integ: number[];
  dh: number[];
  esn: number[];
}

/** Transforms by type; undefined if a type is unknown, which rules the whole proposal out (RFC 7296 3.3.6). */
function splitByType(transforms: readonly Transform[]): OfferedTypes | undefined {
  const types: OfferedTypes = { encr: [], prf: [], integ: [], dh: [], esn: [] };
  for (const transform of transforms) {
    if (transform.type === TransformType.ENCR) types.encr.push(transform);
    else if (transform.keyLength !== undefined) return undefined;
    else if (transform.type === TransformType.PRF) types.prf.push(transform.id);
    else if (transform.type === TransformType.INTEG) types.integ.push(transform.id);
    else if (transform.type === TransformType.DH) types.dh.push(transform.id);
    else if (transform.type === TransformType.ESN) types.esn.push(transform.id);
    else return undefined;
  }
  return types;
}

function chooseCipher(ours: readonly Cipher[], offered: readonly Transform[]): Cipher | undefined {
  return ours.find((own) => offered.some((other) => other.id === own.id && (other.keyLength ?? 0) === own.keyLength));
}

function chooseInteg(
  ours: readonly number[],
  offered: readonly number[],
  encr: Cipher | undefined,
): number | undefined {
  if (encr?.id !== Encr.AES_GCM_16) return first(ours, offered);
  return offered.length === 0 || offered.includes(Integ.NONE) ? Integ.NONE : undefined;
}

function chooseGroup(ours: readonly number[], offered: readonly number[]): number | undefined {
  if (ours.length === 0) return offered.length === 0 || offered.includes(Group.NONE) ? Group.NONE : undefined;
  const common = first(ours, offered);
  // A peer that rekeys without Diffie-Hellman is let do so: it knows no other way, and IKE rekeying renews the secret.
  return common ?? (offered.length === 0 || offered.includes(Group.NONE) ? Group.NONE : undefined);
}

function first(ours: readonly number[], offered: readonly number[]): number | undefined {
  return ours.find((id) => offered.includes(id));
}

function ciphers(encr: readonly Cipher[]): Transform[] {
  return encr.map(cipher);
}

function cipher(entry: Cipher): Transform {
  return entry.keyLength === 0
    ? { type: TransformType.ENCR, id: entry.id }
    : { type: TransformType.ENCR, id: entry.id, keyLength: entry.keyLength };
}

function espSuite(encr: Cipher, integ: number, esn: number): EspSuite | undefined {
  const encryption = ESP_ENCRYPTION.get(`${encr.id}/${encr.keyLength}`);
  const integrity = ESP_INTEGRITY.get(integ);
  if (encryption === undefined || integrity === undefined) return undefined;
  return { encryption, integrity, esn: esn === Esn.yes };
}

const ESP_ENCRYPTION = new Map<string, EspEncryption>([
  [`${Encr.AES_GCM_16}/128`, "aes-128-gcm"],
  [`${Encr.AES_GCM_16}/256`, "aes-256-gcm"],
  [`${Encr.AES_CBC}/128`, "aes-128-cbc"],
  [`${Encr.AES_CBC}/192`, "aes-192-cbc"],
  [`${Encr.AES_CBC}/256`, "aes-256-cbc"],
  [`${Encr.DES3}/0`, "3des-cbc"],
]);

const ESP_INTEGRITY = new Map<number, EspIntegrity>([
  [Integ.NONE, "none"],
  [Integ.HMAC_SHA1_96, "hmac-sha1-96"],
  [Integ.HMAC_SHA2_256_128, "hmac-sha256-128"],
  [Integ.HMAC_SHA2_384_192, "hmac-sha384-192"],
  [Integ.HMAC_SHA2_512_256, "hmac-sha512-256"],
]);

const PRF_OF_INTEG = new Map<number, number>([
  [Integ.HMAC_SHA1_96, Prf.HMAC_SHA1],
  [Integ.HMAC_SHA2_256_128, Prf.HMAC_SHA2_256],
  [Integ.HMAC_SHA2_384_192, Prf.HMAC_SHA2_384],
  [Integ.HMAC_SHA2_512_256, Prf.HMAC_SHA2_512],
]);

interface Keyword {
  encr?: Cipher;
  integ?: number;
  prf?: number;
  group?: number;
  esn?: number;
  weak?: true;
}

const KEYWORDS = new Map<string, Keyword>([
  ["aes128gcm16", { encr: { id: Encr.AES_GCM_16, keyLength: 128 } }],
  ["aes256gcm16", { encr: { id: Encr.AES_GCM_16, keyLength: 256 } }],
  ["aes128", { encr: { id: Encr.AES_CBC, keyLength: 128 } }],
  ["aes192", { encr: { id: Encr.AES_CBC, keyLength: 192 } }],
  ["aes256", { encr: { id: Encr.AES_CBC, keyLength: 256 } }],
  ["3des", { encr: { id: Encr.DES3, keyLength: 0 }, weak: true }],
  ["sha1", { integ: Integ.HMAC_SHA1_96 }],
  ["sha256", { integ: Integ.HMAC_SHA2_256_128 }],
  ["sha384", { integ: Integ.HMAC_SHA2_384_192 }],
  ["sha512", { integ: Integ.HMAC_SHA2_512_256 }],
  ["prfsha1", { prf: Prf.HMAC_SHA1 }],
  ["prfsha256", { prf: Prf.HMAC_SHA2_256 }],
  ["prfsha384", { prf: Prf.HMAC_SHA2_384 }],
  ["prfsha512", { prf: Prf.HMAC_SHA2_512 }],
  ["modp1024", { group: Group.MODP_1024, weak: true }],
  ["modp1536", { group: Group.MODP_1536, weak: true }],
  ["modp2048", { group: Group.MODP_2048 }],
  ["modp3072", { group: Group.MODP_3072 }],
  ["modp4096", { group: Group.MODP_4096 }],
  ["modp6144", { group: Group.MODP_6144 }],
  ["modp8192", { group: Group.MODP_8192 }],
  ["ecp256", { group: Group.ECP_256 }],
  ["ecp384", { group: Group.ECP_384 }],
  ["ecp521", { group: Group.ECP_521 }],
  ["x25519", { group: Group.CURVE25519 }],
  ["curve25519", { group: Group.CURVE25519 }],
  ["esn", { esn: Esn.yes }],
  ["noesn", { esn: Esn.no }],
]);
