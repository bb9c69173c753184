/**
 * The UDP ports of IKE on real sockets: one for IKE alone (500), one where a marker tells IKE from ESP (4500, RFC 3948).
 *
 * Each address has sockets of its own, so that answers leave from where the question came to; a wildcard address could
 * not say where that was, and NAT detection needs to know (RFC 7296 2.23).
 */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import type { Bytes } from "../bytes/bytes.ts";
import type { UdpAddress } from "../esp/dataPlane.ts";
import type { DatagramHandler, IkePorts } from "./ikeService.ts";

export interface UdpPortsOptions {
  /** Addresses of this machine to serve. */
  addresses: readonly string[];
  /** 0 lets the system choose. */
  ports: { ike: number; natT: number };
  handler: DatagramHandler;
  /** Sees every datagram as it is on the wire, for captures. */
  tap?(datagram: Bytes, from: UdpAddress, to: UdpAddress): void;
  /** Told that a datagram could not be sent. */
  onSendError(error: Error, to: UdpAddress): void;
}

/** A port of this machine that cannot be had; says what to do. */
export class PortUnavailable extends Error {
  override readonly name = "PortUnavailable";
}

interface Port {
  socket: Socket;
  local: UdpAddress;
}

export class UdpPorts implements IkePorts {
  readonly #options: UdpPortsOptions;
  readonly #ports = new Map<string, Port>();
  readonly #byAddress: { ike: UdpAddress; natT: UdpAddress }[] = [];

  private constructor(options: UdpPortsOptions) {
    this.#options = options;
  }

  /** Binds all sockets; throws PortUnavailable. */
  static async open(options: UdpPortsOptions): Promise<UdpPorts> {
    const ports = new UdpPorts(options);
    try {
      for (const address of options.addresses) {
        const ike = await ports.#bind(address, options.ports.ike, false);
        const natT = await ports.#bind(address, options.ports.natT, true);
        ports.#byAddress.push({ ike, natT });
      }
    } catch (error) {
      await ports.close();
      throw error;
    }
    return ports;
  }

  /** Where it is bound, in the order of `addresses`. */
  get bound(): readonly { ike: UdpAddress; natT: UdpAddress }[] {
    return this.#byAddress;
  }

  sendIke(packet: Bytes, from: UdpAddress, to: UdpAddress, natT: boolean): void {
    this.#send(natT ? Buffer.concat([NON_ESP_MARKER, packet]) : packet, from, to);
  }

  sendKeepalive(from: UdpAddress, to: UdpAddress): void {
    this.#send(KEEPALIVE, from, to);
  }

  sendEsp(packet: Bytes, from: UdpAddress, to: UdpAddress): void {
    this.#send(packet, from, to);
  }

  async close(): Promise<void> {
    const open = [...this.#ports.values()];
    this.#ports.clear();
    await Promise.all(open.map(({ socket }) => new Promise<void>((resolve) => socket.close(() => resolve()))));
  }

  #send(datagram: Bytes, from: UdpAddress, to: UdpAddress): void {
    const port = this.#ports.get(keyOf(from));
    // Closed meanwhile: what is sent then is lost, as any datagram may be.
    if (port === undefined) return;
    this.#options.tap?.(datagram, port.local, to);
    port.socket.send(datagram, to.port, to.address, (error) => {
      if (error !== null) this.#options.onSendError(error, to);
    });
  }

  #bind(address: string, port: number, natT: boolean): Promise<UdpAddress> {
    const socket = createSocket({
      type: isIPv6(address) ? "udp6" : "udp4",
      ...(isIPv6(address) ? { ipv6Only: true } : {}),
      // Destinations are addresses already; the system's resolver would only be asked to say so.
      lookup: (name, _options, callback) => callback(null, name, isIPv6(name) ? 6 : 4),
    });
    return new Promise((resolve, reject) => {
      socket.once("error", (error: NodeJS.ErrnoException) => {
        socket.close();
        reject(
          new PortUnavailable(
            `UDP port ${port} of ${address} cannot be had (${error.code}): ${ADVICE[error.code ?? ""] ?? error.message}`,
          ),
        );
      });
      socket.bind({ address, port, exclusive: true }, () => {
        socket.removeAllListeners("error");
        // An ICMP error of some peer's is no reason to stop serving the others.
        socket.on("error", (error) => this.#options.onSendError(error, { address, port }));
        raiseBuffers(socket);
        const local = { address, port: socket.address().port };
        this.#ports.set(keyOf(local), { socket, local });
        socket.on(
          "message",
          natT
            ? (datagram, from) => this.#onNatT(datagram, from, local)
            : (datagram, from) => this.#onIke(datagram, from, local),
        );
        resolve(local);
      });
    });
  }

  #onIke(datagram: Bytes, from: RemoteInfo, local: UdpAddress): void {
    const remote = { address: from.address, port: from.port };
    this.#options.tap?.(datagram, remote, local);
    this.#options.handler.onIke(datagram, remote, local, false);
  }

  /** RFC 3948 2.2, 2.3: four zero octets before IKE, one octet 0xff to keep a NAT's binding, else ESP. */
  #onNatT(datagram: Bytes, from: RemoteInfo, local: UdpAddress): void {
    const remote = { address: from.address, port: from.port };
    this.#options.tap?.(datagram, remote, local);
    if (datagram.length <= NON_ESP_MARKER.length) return;
    if (datagram.readUInt32BE(0) === 0)
      this.#options.handler.onIke(datagram.subarray(NON_ESP_MARKER.length), remote, local, true);
    else this.#options.handler.onEsp(datagram, remote, local);
  }
}

function keyOf({ address, port }: UdpAddress): string {
  return `${address} ${port}`;
}

/** A burst of devices that come back at once should meet a queue; the system may give less than this. */
function raiseBuffers(socket: Socket): void {
  try {
    socket.setRecvBufferSize(SOCKET_BUFFER);
    socket.setSendBufferSize(SOCKET_BUFFER);
  } catch {
    // The system's limit holds then.
  }
}

const NON_ESP_MARKER = Buffer.alloc(4);
const KEEPALIVE = Buffer.from([0xff]);
const SOCKET_BUFFER = 4 * 2 ** 20;

const ADVICE: Record<string, string> = {
  EACCES: "ports below 1024 need root or CAP_NET_BIND_SERVICE; or set ports.ike and ports.natT to higher ones",
  EADDRINUSE: "another program holds it, perhaps another IKE daemon",
  EADDRNOTAVAIL: "no interface of this machine has that address",
};
