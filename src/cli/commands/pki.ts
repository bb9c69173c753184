/** femtogate pki: a PKI in a folder, and the server that answers for it. */
import { REVOCATION_REASONS } from "../../pki/authority.ts";
import { KEY_KINDS } from "../../pki/certify.ts";
import { CA_NAMES, PROFILES } from "../../pki/profiles.ts";
import { type Command, type Io, UsageError } from "../command.ts";

const USAGE = `femtogate pki: CAs, certificates, CRLs and an OCSP responder in one folder

  femtogate pki init DIR [--keys ${KEY_KINDS.join("|")}] [--ocsp-keys KIND] [--operator NAME]
                         [--manufacturer NAME] [--ocsp-url URL] [--crl-url URL] [--crl-shards N] [--delta-crls]
  femtogate pki issue DIR --profile ${PROFILES.join("|")} --name FQDN [--name FQDN ...]
                         [--ip ADDRESS ...] [--keys KIND] [--not-before DATE] [--not-after DATE] [--extra-cas N]
                         [--out PREFIX]
  femtogate pki revoke DIR --serial HEX | --cert FILE
                         [--reason ${Object.keys(REVOCATION_REASONS).join("|")}]
  femtogate pki release DIR --serial HEX | --cert FILE
  femtogate pki list DIR [--json]
  femtogate pki crl DIR --ca ${CA_NAMES.join("|")} [--shard N] [--delta]
                         [--out FILE]
  femtogate pki serve DIR [--listen ADDRESS:PORT] [--control SOCKET|none] [--ocsp-life 12h]
  femtogate pki import-ca DIR --name NAME --cert FILE [--crl URL|FILE] [--signer-cert FILE --signer-key FILE]
  femtogate pki import-crl DIR --ca NAME --file FILE
  femtogate pki combine DIR --ca NAME [--off]
  femtogate pki allow|disallow DIR --ca NAME [--name FQDN ...] [--serial HEX ...] [--cert FILE ...] [--list FILE]
  femtogate pki allowed DIR --ca NAME

"init" puts into certificates whom to ask: --ocsp-url, and --crl-url, the address of the folder of CRLs, which "serve"
has at /crl (http://HOST:PORT/crl).
"issue" writes PREFIX.crt.pem, PREFIX.chain.pem (without the root) and PREFIX.key.pem (mode 0600).
"release" makes a certificate good again that was revoked with the reason certificateHold.
"serve" answers OCSP by GET and POST, /crl/<ca>.crl and /ca/<ca>.crt; it prints one JSON line when it listens.
Its answers hold for --ocsp-life, those about certificates that it does not know for five minutes.
It takes revocations as JSON over the Unix socket DIR/control.sock: POST /revoke {"serials": [HEX], "reason": REASON}.
"import-ca" answers OCSP for a manufacturer's CA by its CRL, which is fetched from --crl or brought by "import-crl".
"combine" makes answers for a CA say good only for devices that are allowed as well (TS 33.320 7.x-2).
With --crl-shards each certificate points to /crl/<ca>/<shard>.crl, with --delta-crls these point to ….delta.crl.`;

export const command: Command = {
  name: "pki",
  summary: "CAs, certificates, CRLs and the OCSP responder",
  usage: USAGE,
  async run(args, io) {
    const [verb, ...rest] = args;
    const action = verb === undefined || !Object.hasOwn(ACTIONS, verb) ? undefined : ACTIONS[verb];
    if (action === undefined) throw new UsageError(`say what to do: ${Object.keys(ACTIONS).join(", ")}`);
    return (await action())(rest, io);
  },
};

type Action = (args: string[], io: Io) => Promise<number> | number;

const certificates = () => import("./pki/certificates.ts");
const foreign = () => import("./pki/foreign.ts");

/** Loaded when they are asked for: what fetches CRLs and serves takes as long to load as a certificate to issue. */
const ACTIONS: Record<string, () => Promise<Action>> = {
  init: async () => (await certificates()).init,
  issue: async () => (await certificates()).issue,
  revoke: async () => (await certificates()).revoke,
  release: async () => (await certificates()).release,
  list: async () => (await certificates()).list,
  crl: async () => (await certificates()).crl,
  serve: async () => (await import("./pki/serve.ts")).serve,
  "import-ca": async () => (await foreign()).importCa,
  "import-crl": async () => (await foreign()).bringCrl,
  combine: async () => (await foreign()).combine,
  allow: async () => (await foreign()).allow,
  disallow: async () => (await foreign()).disallow,
  allowed: async () => (await foreign()).allowed,
};
