/** A bare TCP client, for requests that no HTTP client would make. */
import { connect, type Socket } from "node:net";

export class TcpClient implements Disposable {
  readonly #socket: Socket;
  readonly #closed: Promise<string>;
  #received = "";

  constructor(port: number) {
    this.#socket = connect(port, "127.0.0.1");
    this.#closed = new Promise((resolve) => {
      this.#socket.once("close", () => resolve(this.#received));
    });
    this.#socket.on("data", (part) => {
      this.#received += part.toString("latin1");
    });
    // A reset is one of the ways in which a server ends a connection.
    this.#socket.on("error", () => {});
  }

  /** What was sent has left this process. */
  get written(): Promise<void> {
    return new Promise((resolve) => this.#socket.write("", () => resolve()));
  }

  get connected(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.connecting) this.#socket.once("connect", () => resolve());
      else resolve();
    });
  }

  send(text: string): this {
    this.#socket.write(text, "latin1");
    return this;
  }

  /** Takes nothing from the network any more. */
  stopReading(): void {
    this.#socket.pause();
  }

  /** All that came until the server ended the connection. */
  untilClosed(): Promise<string> {
    return this.#closed;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}
