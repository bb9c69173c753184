/** femtogate pki serve: the responder and CRL server, until it is asked to end. */
import { join } from "node:path";
import { duration } from "../../../config/fields.ts";
import { Pki } from "../../../pki/authority.ts";
import { serveControl } from "../../../pki/control.ts";
import { ForeignCrls } from "../../../pki/foreignCrls.ts";
import { servePki } from "../../../pki/server.ts";
import { type Io, numberOption, parse, UsageError } from "../../command.ts";
import { environment, one } from "./options.ts";

export async function serve(args: string[], io: Io): Promise<number> {
  const { values, positionals } = parse({
    args,
    allowPositionals: true,
    options: { listen: { type: "string" }, control: { type: "string" }, "ocsp-life": { type: "string" } },
  });
  const listen = /^(.+):(\d+)$/.exec(values.listen ?? "127.0.0.1:8080");
  if (listen === null) throw new UsageError(`--listen takes ADDRESS:PORT, not "${values.listen}"`);
  const port = numberOption("the port of --listen", listen[2]!, 0, 65535);
  const life = duration.safeParse(values["ocsp-life"] ?? "12h");
  const ocspLife = life.success && life.data > 0 ? life.data : undefined;
  if (ocspLife === undefined)
    throw new UsageError(`--ocsp-life takes a time such as 30m or 12h, not "${values["ocsp-life"]}"`);
  using pki = Pki.open(one(positionals), environment);
  await using ends = new AsyncDisposableStack();
  const tell = (event: object) => io.print(JSON.stringify(event));
  const onFailure = (error: unknown) =>
    tell({ event: "failed", problem: error instanceof Error ? error.message : String(error) });
  const foreign = ends.use(new ForeignCrls(pki, environment, tell));
  const path = values.control ?? join(pki.directory, "control.sock");
  const control = path === "none" ? undefined : ends.adopt(await serveControl(pki, path), (one) => one.close());
  const address = listen[1]!.replace(/^\[|\]$/g, "");
  const server = ends.adopt(
    await servePki(pki, { address, port }, environment.clock, { foreign, onFailure, ocspLife }),
    (one) => one.close(),
  );
  const keepUp = () => {
    try {
      foreign.follow();
      pki.renewOcspSigners();
    } catch (error) {
      // Such as a full disk; what there is goes on being served.
      onFailure(error);
    }
  };
  keepUp();
  const upkeep = setInterval(keepUp, UPKEEP);
  ends.defer(() => clearInterval(upkeep));
  tell({ event: "listening", role: "pki", address: server.address, port: server.port, control: control?.address });
  await io.stopped;
  return 0;
}

/** Milliseconds between looks at what other processes imported, and at the signers' ends. */
const UPKEEP = 5_000;
