// A dcrf-client and the server that records it, for one usage.

import {once} from 'node:events';
import {WebSocket} from 'ws';
import dcrfClient from 'dcrf-client';
import {Server} from './server.mjs';

const dcrf = dcrfClient.default;

export class Peer {
  #server;
  #client = null;
  // The socket of the latest connection.
  #socket = null;

  static async start() {
    const peer = new Peer();
    peer.#server = await Server.start();
    return peer;
  }

  get server() {
    return this.#server;
  }

  // `createClient` of dcrf-client's README.
  createClient({websocket, ...options} = {}) {
    const peer = this;
    class Socket extends WebSocket {
      constructor(...args) {
        super(...args);
        peer.#socket = this;
      }
    }
    this.#client = dcrf.createClient(this.#server.url, {
      ...options,
      websocket: {WebSocket: Socket, minReconnectionDelay: 1, maxReconnectionDelay: 1, ...websocket},
    });
    return this.#client;
  }

  // `connect` of dcrf-client's README.
  connect(options) {
    const client = this.createClient(options);
    client.initialize();
    return client;
  }

  // `connect`, and the connection is open.
  async connected(options) {
    const client = this.connect(options);
    await this.opened();
    return client;
  }

  async opened() {
    const {transport} = this.#client;
    if (!transport.isConnected()) {
      await once(transport, 'open');
    }
    await this.flushed();
  }

  // The server has read what was sent until now, and its answers have arrived.
  async flushed() {
    this.#socket.ping();
    await once(this.#socket, 'pong');
  }

  // The connection breaks. There is no other one until `returns`.
  async loses() {
    const closed = new Promise(resolve => {
      this.#client.transport.socket.addEventListener('close', resolve);
    });
    this.#server.cut();
    await closed;
  }

  async returns() {
    this.#server.admit();
    await this.opened();
  }

  async reconnects() {
    await this.loses();
    await this.returns();
  }

  async stop() {
    this.#client.transport.socket?.close();
    await this.#server.stop();
  }
}
