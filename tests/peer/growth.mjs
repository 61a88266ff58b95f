// The time that dcrf-client needs for an event, from the frame's text to the subscriber's callback, by the number of
// subscriptions: `node growth.mjs >../../dcrf-proto/benches/growth/dcrf-client.jsonl`.
//
// `ratios --growth` measures ours in the same way: in one process without a network, each event for a random
// subscription, medians of seven rounds. Only the WebSocket is replaced.

import {once} from 'node:events';
import dcrfClient from 'dcrf-client';
import loglevel from 'loglevel';

const dcrf = dcrfClient.default;

const COUNTS = [1, 10, 100, 1_000, 10_000];
const SIZE = 221;
const ROUNDS = 7;
const ROUND_MS = 200;
// The number of frames that are built before their dispatch is timed.
const BATCH = 64;

loglevel.setDefaultLevel('silent');

// A WebSocket that opens at once and acknowledges each subscribe.
class Socket {
  static CLOSING = 2;
  static latest;
  #listeners = {};
  // The request ids of all subscriptions.
  ids = [];

  constructor() {
    Socket.latest = this;
    setImmediate(() => {
      this.readyState = 1;
      this.#emit('open', {});
    });
  }

  addEventListener(name, listener) {
    this.#listeners[name] = listener;
  }

  send(text) {
    const {payload} = JSON.parse(text);
    this.ids.push(payload.request_id);
    queueMicrotask(() => this.receive(frame('subscribe_instance', 201, 'null', payload.request_id)));
  }

  receive(data) {
    this.#emit('message', {data});
  }

  #emit(name, event) {
    this.#listeners[name](event);
  }
}

function frame(action, status, data, id) {
  return `{"stream":"tasks","payload":{"errors":[],"data":${data},"action":"${action}",` +
    `"response_status":${status},"request_id":"${id}"}}`;
}

// A serialized object with a title of this length.
function task(pk, length) {
  return `{"pk":${pk},"title":"${'x'.repeat(length)}","done":false,"priority":1}`;
}

function update(pk, id) {
  const length = SIZE - frame('update', 200, task(pk, 0), id).length;
  return frame('update', 200, task(pk, length), id);
}

// A seeded generator, so that each run draws the same numbers.
function* random() {
  let state = 1;
  for (;;) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state / 2 ** 32;
  }
}

function round(socket, numbers, takeCount) {
  let elapsed = 0;
  let events = 0;
  while (elapsed < ROUND_MS) {
    const frames = Array.from({length: BATCH}, () => {
      const pk = Math.floor(numbers.next().value * socket.ids.length);
      return update(pk, socket.ids[pk]);
    });
    const started = performance.now();
    for (const text of frames) {
      socket.receive(text);
    }
    elapsed += performance.now() - started;
    events += BATCH;
    if (takeCount() !== BATCH) {
      throw new Error('not every event reached exactly one callback');
    }
  }
  return elapsed * 1e6 / events;
}

async function measure(count) {
  const client = dcrf.connect('ws://localhost/', {websocket: {WebSocket: Socket}});
  await once(client.transport, 'open');
  let received = 0;
  for (let pk = 0; pk < count; pk++) {
    await client.subscribe('tasks', pk, () => {
      received++;
    });
  }
  const numbers = random();
  const takeCount = () => {
    const before = received;
    received = 0;
    return before;
  };
  const rounds = Array.from({length: 1 + ROUNDS}, () => round(Socket.latest, numbers, takeCount)).slice(1);
  return rounds.sort((one, other) => one - other)[Math.floor(ROUNDS / 2)];
}

for (const count of COUNTS) {
  const ns = await measure(count);
  console.log(JSON.stringify({plot: 'event', curve: 'dcrf-client', x: count, y: Number(ns.toPrecision(4))}));
}
