/** FreeRADIUS as a proxy on loopback, in front of one home server. */
import { freePort } from "../../net/freePort.ts";
import { FreeRadius } from "./freeradius.ts";

interface Ports {
  authentication: number;
  accounting: number;
}

export interface ProxySettings {
  secret: string;
  /** Ports of the home server. */
  home: Ports;
}

/** Takes requests from loopback and sends all of them on to one home server. */
export class FreeRadiusProxy implements AsyncDisposable {
  readonly ports: Ports;
  readonly #server: FreeRadius;

  private constructor(server: FreeRadius, ports: Ports) {
    this.#server = server;
    this.ports = ports;
  }

  /** Resolves once it takes requests. */
  static async start(settings: ProxySettings): Promise<FreeRadiusProxy> {
    const ports = { authentication: await freePort(), accounting: await freePort() };
    return new FreeRadiusProxy(await FreeRadius.start(() => configuration(settings, ports)), ports);
  }

  get lines(): readonly string[] {
    return this.#server.lines;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#server[Symbol.asyncDispose]();
  }
}

function configuration({ secret, home }: ProxySettings, ports: Ports): string {
  return `client loopback {
  ipaddr = 127.0.0.1
  secret = "${secret}"
  require_message_authenticator = yes
}
proxy server {
}
home_server authentication {
  type = auth
  ipaddr = 127.0.0.1
  port = ${home.authentication}
  secret = "${secret}"
  require_message_authenticator = yes
  status_check = status-server
  check_interval = 6
  response_window = 6
}
home_server accounting {
  type = acct
  ipaddr = 127.0.0.1
  port = ${home.accounting}
  secret = "${secret}"
  status_check = status-server
  check_interval = 6
  response_window = 6
}
home_server_pool authentication {
  home_server = authentication
}
home_server_pool accounting {
  home_server = accounting
}
realm aaa {
  auth_pool = authentication
  acct_pool = accounting
  nostrip
}
modules {
}
server default {
  listen {
    type = auth
    ipaddr = 127.0.0.1
    port = ${ports.authentication}
  }
  listen {
    type = acct
    ipaddr = 127.0.0.1
    port = ${ports.accounting}
  }
  authorize {
    update control {
      Proxy-To-Realm := "aaa"
    }
  }
  preacct {
    update control {
      Proxy-To-Realm := "aaa"
    }
  }
}
`;
}
