// A client of dcrf-client and the recording server, for one usage.

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

  // `connect`, and waits until the connection is open.
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

  // Waits until the server has read everything sent so far, and its replies have arrived.
  async flushed() {
    this.#socket.ping();
    await once(this.#socket, 'pong');
  }

  // Drops the connection. The client can't connect again until `goOnline`.
  async goOffline() {
    const closed = new Promise(resolve => {
      this.#client.transport.socket.addEventListener('close', resolve);
    });
    this.#server.cut();
    await closed;
  }

  async goOnline() {
    this.#server.release();
    await this.opened();
  }

  async reconnect() {
    await this.goOffline();
    await this.goOnline();
  }

  async stop() {
    this.#client.transport.socket?.close();
    await this.#server.stop();
  }
}
