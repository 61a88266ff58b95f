// A WebSocket server that writes down what it is sent, and answers as Django Channels REST Framework does.

import {createServer} from 'node:http';
import {once} from 'node:events';
import {WebSocketServer} from 'ws';

const PERSON = {pk: 4, name: 'Alex'};

const UNABLE = 'Unable to find action in message body.';

// Action: status and data of the answer.
const ANSWERS = {
  list: () => [200, [PERSON]],
  create: asked => [201, {...PERSON, ...asked.data}],
  retrieve: asked => [200, {...PERSON, pk: asked.pk}],
  update: asked => [200, {...asked.data, pk: asked.pk}],
  patch: asked => [200, {...PERSON, ...asked.data, pk: asked.pk}],
  delete: () => [204, null],
  subscribe_instance: () => [201, null],
  greet: asked => [200, {greeting: `Hello, ${asked.name}`}],
};

export class Server {
  // What each connection was sent, and the code with which the client closed it.
  connections = [];
  // Actions that get no answer.
  silent = new Set();
  // Actions that are refused, with the status.
  refused = new Map();
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
      const answer = this.#answer(text);
      if (answer) {
        ws.send(JSON.stringify(answer));
      }
    });
    ws.on('close', code => {
      this.#sockets.delete(ws);
      // 1006: nobody said goodbye.
      if (code !== 1006) {
        connection.close = code;
      }
    });
  }

  #answer(text) {
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return null;
    }
    const {stream, payload: asked} = frame;
    if (!stream || !asked || this.silent.has(asked.action)) {
      return null;
    }
    const reply = (response_status, data, errors = []) => ({stream, payload: {
      errors, data, action: asked.action ?? null, response_status, request_id: asked.request_id ?? null,
    }});
    if (!asked.action) {
      return reply(405, null, [UNABLE]);
    }
    if (this.refused.has(asked.action)) {
      return reply(this.refused.get(asked.action), null, ['no']);
    }
    const known = ANSWERS[asked.action];
    return known ? reply(...known(asked)) : reply(405, null, [`Method "${asked.action}" not allowed.`]);
  }

  // The server says something of its own accord.
  say(frame) {
    for (const ws of this.#sockets) {
      ws.send(JSON.stringify(frame));
    }
  }

  // Every connection breaks, and new ones wait until `admit`.
  cut() {
    this.hold();
    for (const ws of this.#sockets) {
      ws.terminate();
    }
  }

  hold() {
    this.#held ??= [];
  }

  admit() {
    const held = this.#held ?? [];
    this.#held = null;
    held.forEach(upgrade => this.#upgrade(upgrade));
  }

  // Until no client is connected any more.
  async idle() {
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
