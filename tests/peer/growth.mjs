// What an event costs dcrf-client, from the text of its frame to the subscriber's callback, against the number of
// subscriptions: `node growth.mjs >../../dcrf-proto/benches/growth/dcrf-client.jsonl`.
//
// As `ratios --growth` measures ours: in one process, without a network, each event for a subscription that is drawn at
// random, medians of seven rounds. The WebSocket is the one thing that is not dcrf-client's own.

import {once} from 'node:events';
import dcrfClient from 'dcrf-client';
import loglevel from 'loglevel';

const dcrf = dcrfClient.default;

const COUNTS = [1, 10, 100, 1_000, 10_000];
const SIZE = 221;
const ROUNDS = 7;
const ROUND_MS = 200;
// How many frames are made at once, before what they take is measured.
const BATCH = 64;

loglevel.setDefaultLevel('silent');

// A WebSocket that is open at once, and whose server acknowledges each subscription.
class Socket {
  static CLOSING = 2;
  static latest;
  #listeners = {};
  // The request ids of all that was subscribed to.
  ids = [];

  constructor() {
    Socket.latest = this;
    setImmediate(() => {
      this.readyState = 1;
      this.#hear('open', {});
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
    this.#hear('message', {data});
  }

  #hear(name, event) {
    this.#listeners[name](event);
  }
}

function frame(action, status, data, id) {
  return `{"stream":"tasks","payload":{"errors":[],"data":${data},"action":"${action}",` +
    `"response_status":${status},"request_id":"${id}"}}`;
}

// An object, as a serializer writes it, with so many letters in its title.
function task(pk, letters) {
  return `{"pk":${pk},"title":"${'x'.repeat(letters)}","done":false,"priority":1}`;
}

function update(pk, id) {
  const room = SIZE - frame('update', 200, task(pk, 0), id).length;
  return frame('update', 200, task(pk, room), id);
}

// The same in each run, which `Math.random` would not be.
function* random() {
  let state = 1;
  for (;;) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state / 2 ** 32;
  }
}

function round(socket, numbers, read) {
  let taken = 0;
  let events = 0;
  while (taken < ROUND_MS) {
    const frames = Array.from({length: BATCH}, () => {
      const pk = Math.floor(numbers.next().value * socket.ids.length);
      return update(pk, socket.ids[pk]);
    });
    const began = performance.now();
    for (const text of frames) {
      socket.receive(text);
    }
    taken += performance.now() - began;
    events += BATCH;
    if (read() !== BATCH) {
      throw new Error('not every event has reached one callback');
    }
  }
  return taken * 1e6 / events;
}

async function measure(count) {
  const client = dcrf.connect('ws://localhost/', {websocket: {WebSocket: Socket}});
  await once(client.transport, 'open');
  let heard = 0;
  for (let pk = 0; pk < count; pk++) {
    await client.subscribe('tasks', pk, () => {
      heard++;
    });
  }
  const numbers = random();
  const read = () => {
    const before = heard;
    heard = 0;
    return before;
  };
  const rounds = Array.from({length: 1 + ROUNDS}, () => round(Socket.latest, numbers, read)).slice(1);
  return rounds.sort((one, other) => one - other)[Math.floor(ROUNDS / 2)];
}

for (const count of COUNTS) {
  const ns = await measure(count);
  console.log(JSON.stringify({plot: 'event', curve: 'dcrf-client', x: count, y: Number(ns.toPrecision(4))}));
}
