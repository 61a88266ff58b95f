// The works of the benchmarks as a user of dcrf-client does them: `node bench.mjs URL WORK SETTINGS`.
//
// Each line on standard input asks for one round, and each round prints a line: {"value": what it has measured}.
// `ratios --peer` runs it beside ours; the settings (JSON) come from there, so that both sides have the same.

import {once} from 'node:events';
import {createInterface} from 'node:readline';
import {setImmediate} from 'node:timers/promises';
import dcrfClient from 'dcrf-client';
import loglevel from 'loglevel';
import {WebSocket} from 'ws';

const dcrf = dcrfClient.default;
const [url, work, settings] = process.argv.slice(2);

// A sum over what a caller reads, so that none of it can be left out.
const sum = ({pk, title, done, priority}) => pk + title.length + Number(done) + priority;

const range = count => Array.from({length: count}, (_, index) => index);

const perSecond = (count, began) => count / ((performance.now() - began) / 1e3);

async function connected() {
  const client = dcrf.connect(url, {websocket: {WebSocket}});
  await once(client.transport, 'open');
  return client;
}

// Subscriptions to so many objects, in force.
async function subscribed(client, count, callback) {
  const subscriptions = range(count).map(pk => client.subscribe('tasks', pk, callback));
  await Promise.all(subscriptions);
  return subscriptions;
}

// What is no longer needed is gone, also what only a finalizer or a pending callback has held.
async function collected() {
  for (let times = 0; times < 4; times++) {
    await setImmediate();
    gc();
  }
}

async function heap() {
  await collected();
  return process.memoryUsage().heapUsed;
}

async function resident() {
  await collected();
  return process.memoryUsage.rss();
}

// Each work makes what all rounds share, and returns a round.
const works = {
  // Events a second from the text of a frame to the callback, each for a subscription that is drawn at random.
  async dispatch({subscriptions, events}) {
    const client = await connected();
    let total = 0;
    await subscribed(client, subscriptions, task => {
      total += sum(task);
    });
    // One event of each subscription, as the server sends it.
    const messages = [];
    const keep = event => messages.push(event);
    client.transport.on('message', keep);
    await client.request('tasks', {action: 'flood', count: subscriptions});
    client.transport.off('message', keep);
    return async () => {
      let missed = 0;
      const began = performance.now();
      for (let done = 0; done < events; done++) {
        const before = total;
        client.transport.emit('message', messages[Math.floor(Math.random() * subscriptions)]);
        missed += Number(total === before);
      }
      const rate = perSecond(events, began);
      if (missed) {
        throw new Error(`${missed} of ${events} events were missed`);
      }
      return rate;
    };
  },

  // The same through the socket, in turn for each of the subscriptions.
  async deliver({subscriptions, events}) {
    const client = await connected();
    let heard = 0;
    let total = 0;
    await subscribed(client, subscriptions, task => {
      heard++;
      total += sum(task);
    });
    return async () => {
      heard = 0;
      const began = performance.now();
      // The answer comes behind the events.
      await client.request('tasks', {action: 'flood', count: events});
      const rate = perSecond(events, began);
      if (heard !== events || !total) {
        throw new Error(`${heard} of ${events} events were heard`);
      }
      return rate;
    };
  },

  // Requests a second, so many in flight at once.
  async requests({requests, window}) {
    const client = await connected();
    const batch = range(window);
    return async () => {
      let total = 0;
      const began = performance.now();
      for (let done = 0; done < requests; done += window) {
        const tasks = await Promise.all(batch.map(pk => client.retrieve('tasks', pk)));
        total += tasks.reduce((before, task) => before + sum(task), 0);
      }
      const rate = perSecond(requests, began);
      if (!total) {
        throw new Error('the answers hold nothing');
      }
      return rate;
    };
  },

  // Milliseconds from the open of a new connection until all subscriptions are acknowledged on it.
  async replay({subscriptions}) {
    const client = await connected();
    await subscribed(client, subscriptions, () => {});
    const {transport} = client;
    return () => new Promise(resolve => {
      let began;
      let acknowledged = 0;
      // dcrf-client tells nobody that a subscription is in force again. This listener comes behind the client's
      // own, so what it counts has been dispatched.
      const hear = ({data}) => {
        if (data.includes('"response_status":201') && ++acknowledged === subscriptions) {
          const taken = performance.now() - began;
          transport.off('message', hear);
          resolve(taken);
        }
      };
      // Told before the client resubscribes.
      transport.once('open', () => {
        began = performance.now();
        transport.on('message', hear);
      });
      transport.socket.reconnect();
    });
  },

  // Bytes of the heap that an idle subscription holds, with the promise that its caller keeps to cancel it.
  async subscription({subscriptions}) {
    const callback = () => {};
    return async () => {
      const client = await connected();
      const before = await heap();
      const held = await subscribed(client, subscriptions, callback);
      const taken = await heap() - before;
      client.close(false);
      return taken / held.length;
    };
  },

  // Resident bytes that an idle connected client holds. A process can measure that once.
  async client({clients}) {
    const held = [await connected()];
    return async () => {
      const before = await resident();
      while (held.length <= clients) {
        held.push(await connected());
      }
      return (await resident() - before) / clients;
    };
  },
};

// The loggers that dcrf-client has made already, and those to come.
loglevel.setDefaultLevel('silent');
Object.values(loglevel.getLoggers()).forEach(logger => logger.setLevel('silent'));

const round = await works[work](JSON.parse(settings));
for await (const _ of createInterface({input: process.stdin})) {
  console.log(JSON.stringify({value: await round()}));
}
// Its clients would connect again for ever.
process.exit();
