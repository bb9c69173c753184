/** FreeRADIUS as the AAA server of a gateway: EAP methods that we have none of, device authorization by Call-Check. */
import { FreeRadius } from "./freeradius.ts";

export interface EapServerSettings {
  secret: string;
  /** Where it listens; ports 1812 and 1813, in a network namespace of the caller's. */
  prefix: readonly string[];
  method: "mschapv2" | "tls";
  /** Of the one user. */
  user: { name: string; password: string };
  /** PEM files for EAP-TLS: the server's chain and key, and who issues the users' certificates. */
  tls?: { chain: string; key: string; authority: string };
}

/** Lets every device connect, and one user after EAP with that method. */
export function startEapServer(settings: EapServerSettings): Promise<FreeRadius> {
  return FreeRadius.start(() => configuration(settings), settings.prefix);
}

function configuration({ secret, method, user, tls }: EapServerSettings): string {
  return `client gateway {
  ipaddr = 127.0.0.1
  secret = "${secret}"
  require_message_authenticator = yes
}
modules {
  eap {
    default_eap_type = ${method}
    timer_expire = 60
    mschapv2 {
    }
${tls === undefined ? "" : tlsMethod(tls)}
  }
  mschap {
  }
  detail {
    filename = \${logdir}/detail
  }
}
server default {
  listen {
    type = auth
    ipaddr = 127.0.0.1
    port = 1812
  }
  listen {
    type = acct
    ipaddr = 127.0.0.1
    port = 1813
  }
  authorize {
    if (&Service-Type == Call-Check) {
      update control {
        Auth-Type := Accept
      }
      return
    }
    if (&User-Name == "${user.name}") {
      update control {
        Cleartext-Password := "${user.password}"
      }
    }
    eap
  }
  authenticate {
    Auth-Type eap {
      eap
    }
    Auth-Type MS-CHAP {
      mschap
    }
  }
  post-auth {
    update reply {
      Session-Timeout := 3600
      Message-Authenticator := 0x00
    }
  }
  accounting {
    detail
  }
}
`;
}

function tlsMethod({ chain, key, authority }: NonNullable<EapServerSettings["tls"]>): string {
  return `    tls-config tls-common {
      certificate_file = ${chain}
      private_key_file = ${key}
      ca_file = ${authority}
      tls_min_version = "1.2"
      tls_max_version = "1.2"
      ecdh_curve = ""
      cipher_list = "DEFAULT"
    }
    tls {
      tls = tls-common
    }`;
}
