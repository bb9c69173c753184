/** nginx in front of files and of backends that misbehave. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Bytes } from "../../../src/bytes/bytes.ts";
import { Daemon } from "../daemon.ts";

export class Nginx implements AsyncDisposable {
  readonly #daemon: Daemon;

  private constructor(daemon: Daemon) {
    this.#daemon = daemon;
  }

  /** Serves the files in its folder, and `locations` ("location /slow { ... }") besides. */
  static async start(locations = ""): Promise<Nginx> {
    const daemon = await Daemon.start({
      name: "nginx",
      prepare({ folder, port, pidFile }) {
        const files = join(folder, "files");
        mkdirSync(files);
        // Its worker is another user where we are root.
        for (const path of [folder, files]) chmodSync(path, 0o755);
        const config = join(folder, "nginx.conf");
        writeFileSync(config, configuration(folder, port, pidFile, locations));
        return { command: "nginx", args: ["-c", config, "-e", "stderr", "-p", folder] };
      },
    });
    return new Nginx(daemon);
  }

  /** Puts a file where nginx serves it; gives its address. */
  put(name: string, content: Bytes): string {
    writeFileSync(join(this.#daemon.folder, "files", name), content);
    return this.url(name);
  }

  url(path: string): string {
    return `http://127.0.0.1:${this.#daemon.port}/${path}`;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#daemon[Symbol.asyncDispose]();
  }
}

function configuration(folder: string, port: number, pidFile: string, locations: string): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `
daemon off;
master_process off;
pid ${pidFile};
events { worker_connections 64; }
http {
  access_log off;
  ${temporary.map((kind) => `${kind}_temp_path ${join(folder, kind)};`).join("\n  ")}
  types { application/pkix-crl crl; }
  default_type application/octet-stream;
  proxy_cache_path ${join(folder, "cache")} keys_zone=answers:1m;
  server {
    listen 127.0.0.1:${port};
    root ${join(folder, "files")};
    ${locations}
  }
}
`;
}
