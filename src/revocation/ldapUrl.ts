/** Addresses of CRLs in directories (RFC 4516): host, distinguished name, attribute. */

export interface LdapUrl {
  host: string;
  port: number;
  /** Distinguished name of the entry. */
  dn: string;
  attribute: string;
}

/** Reads ldap://host[:port]/dn[?attribute]; undefined for anything else, or a search over more than the one entry. */
export function parseLdapUrl(text: string): LdapUrl | undefined {
  const url = URL.parse(text);
  if (url === null || url.protocol !== "ldap:" || url.hostname === "") return undefined;
  const [attributes = "", scope = ""] = url.search.slice(1).split("?");
  if (scope !== "" && scope !== "base") return undefined;
  try {
    const dn = decodeURIComponent(url.pathname.slice(1));
    const [attribute = ""] = decodeURIComponent(attributes).split(",");
    if (dn === "" || !ATTRIBUTE.test(attribute)) return undefined;
    const host = url.hostname.replace(/^\[|\]$/g, "");
    return { host, port: url.port === "" ? LDAP_PORT : Number(url.port), dn, attribute: attribute || CRL_ATTRIBUTE };
  } catch {
    // A percent sign that begins no octet.
    return undefined;
  }
}

const LDAP_PORT = 389;
/** RFC 4523 4.1; transferred in binary (RFC 4522). */
const CRL_ATTRIBUTE = "certificateRevocationList;binary";
const ATTRIBUTE = /^([a-z][a-z0-9-]{0,63}|[0-9.]{1,64})?(;binary)?$/i;
