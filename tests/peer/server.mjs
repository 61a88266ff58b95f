// A WebSocket server that records what it receives, and replies as Django Channels REST Framework does.

import {createServer} from 'node:http';
import {once} from 'node:events';
import {WebSocketServer} from 'ws';

const PERSON = {pk: 4, name: 'Alex'};

const NO_ACTION = 'Unable to find action in message body.';

// The status and data of each action's reply.
const REPLIES = {
  list: () => [200, [PERSON]],
  create: request => [201, {...PERSON, ...request.data}],
  retrieve: request => [200, {...PERSON, pk: request.pk}],
  update: request => [200, {...request.data, pk: request.pk}],
  patch: request => [200, {...PERSON, ...request.data, pk: request.pk}],
  delete: () => [204, null],
  subscribe_instance: () => [201, null],
  greet: request => [200, {greeting: `Hello, ${request.name}`}],
};

export class Server {
  // The texts received on each connection, and the code if the client closed it.
  connections = [];
  // Actions that get no reply.
  unanswered = new Set();
  // Actions that get an error reply, with its status.
  errors = new Map();
  #sockets = new Set();
  #held = null;
  #http = createServer();
  #websockets = new WebSocketServer({noServer: true, perMessageDeflate: false});

  static async start() {
    const server = new Server();
    server.#http.on('upgrade', (...upgrade) => {
      if (server.#held) {
        server.#held.push(upgrade);
      } else {
        server.#upgrade(upgrade);
      }
    });
    server.#http.listen(0, '127.0.0.1');
    await once(server.#http, 'listening');
    return server;
  }

  get url() {
    return `ws://127.0.0.1:${this.#http.address().port}/ws/`;
  }

  #upgrade([request, socket, head]) {
    this.#websockets.handleUpgrade(request, socket, head, ws => this.#serve(ws));
  }

  #serve(ws) {
    const connection = {sent: []};
    this.connections.push(connection);
    this.#sockets.add(ws);
    ws.on('message', data => {
      const text = data.toString();
      connection.sent.push(text);
      const reply = this.#reply(text);
      if (reply) {
        ws.send(JSON.stringify(reply));
      }
    });
    ws.on('close', code => {
      this.#sockets.delete(ws);
      // 1006 means that there was no close frame.
      if (code !== 1006) {
        connection.close = code;
      }
    });
  }

  #reply(text) {
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return null;
    }
    const {stream, payload: request} = frame;
    if (!stream || !request || this.unanswered.has(request.action)) {
      return null;
    }
    const build = (response_status, data, errors = []) => ({stream, payload: {
      errors, data, action: request.action ?? null, response_status, request_id: request.request_id ?? null,
    }});
    if (!request.action) {
      return build(405, null, [NO_ACTION]);
    }
    if (this.errors.has(request.action)) {
      return build(this.errors.get(request.action), null, ['no']);
    }
    const known = REPLIES[request.action];
    return known ? build(...known(request)) : build(405, null, [`Method "${request.action}" not allowed.`]);
  }

  // Sends a frame on every connection.
  send(frame) {
    for (const ws of this.#sockets) {
      ws.send(JSON.stringify(frame));
    }
  }

  // Drops every connection. New ones wait until `release`.
  cut() {
    this.hold();
    for (const ws of this.#sockets) {
      ws.terminate();
    }
  }

  hold() {
    this.#held ??= [];
  }

  release() {
    const held = this.#held ?? [];
    this.#held = null;
    held.forEach(upgrade => this.#upgrade(upgrade));
  }

  // Waits until no client is connected.
  async disconnected() {
    await Promise.all([...this.#sockets].map(ws => once(ws, 'close')));
  }

  async stop() {
    this.#held = null;
    for (const ws of this.#sockets) {
      ws.terminate();
    }
    this.#http.closeAllConnections();
    this.#http.close();
  }
}
