// dcrf-client's side of the benchmarks: `node bench.mjs URL WORKLOAD SETTINGS`.
//
// Each line on standard input starts a round, which prints its measurement as {"value": …}. `ratios --peer` runs this
// next to our side, and passes the settings (JSON), so that they are the same for both.

import {once} from 'node:events';
import {createInterface} from 'node:readline';
import {setImmediate} from 'node:timers/promises';
import dcrfClient from 'dcrf-client';
import loglevel from 'loglevel';
import {WebSocket} from 'ws';

const dcrf = dcrfClient.default;
const [url, workload, settings] = process.argv.slice(2);

// Sums over all fields, so that none of the decoding can be optimized away.
const sum = ({pk, title, done, priority}) => pk + title.length + Number(done) + priority;

const range = count => Array.from({length: count}, (_, index) => index);

const perSecond = (count, started) => count / ((performance.now() - started) / 1e3);

async function connected() {
  const client = dcrf.connect(url, {websocket: {WebSocket}});
  await once(client.transport, 'open');
  return client;
}

// Subscribes to `count` objects, and waits for the acknowledgements.
async function subscribed(client, count, callback) {
  const subscriptions = range(count).map(pk => client.subscribe('tasks', pk, callback));
  await Promise.all(subscriptions);
  return subscriptions;
}

// Collects all garbage, including what finalizers and pending callbacks hold.
async function collectGarbage() {
  for (let times = 0; times < 4; times++) {
    await setImmediate();
    gc();
  }
}

async function heapUsed() {
  await collectGarbage();
  return process.memoryUsage().heapUsed;
}

async function residentMemory() {
  await collectGarbage();
  return process.memoryUsage.rss();
}

// Each workload prepares what all rounds share, and returns the function that runs a round.
const workloads = {
  // Events per second from a frame's text to the callback, each for a random subscription.
  async dispatch({subscriptions, events}) {
    const client = await connected();
    let total = 0;
    await subscribed(client, subscriptions, task => {
      total += sum(task);
    });
    // One event for each subscription, as sent by the server.
    const messages = [];
    const collect = event => messages.push(event);
    client.transport.on('message', collect);
    await client.request('tasks', {action: 'flood', count: subscriptions});
    client.transport.off('message', collect);
    return async () => {
      let missed = 0;
      const started = performance.now();
      for (let done = 0; done < events; done++) {
        const before = total;
        client.transport.emit('message', messages[Math.floor(Math.random() * subscriptions)]);
        missed += Number(total === before);
      }
      const rate = perSecond(events, started);
      if (missed) {
        throw new Error(`${missed} of ${events} events were lost`);
      }
      return rate;
    };
  },

  // Events per second from the socket to the callback, for each subscription in turn.
  async deliver({subscriptions, events}) {
    const client = await connected();
    let received = 0;
    let total = 0;
    await subscribed(client, subscriptions, task => {
      received++;
      total += sum(task);
    });
    return async () => {
      received = 0;
      const started = performance.now();
      // The reply follows the events.
      await client.request('tasks', {action: 'flood', count: events});
      const rate = perSecond(events, started);
      if (received !== events || !total) {
        throw new Error(`${received} of ${events} events arrived`);
      }
      return rate;
    };
  },

  // Requests per second, with `window` requests in flight.
  async requests({requests, window}) {
    const client = await connected();
    const batch = range(window);
    return async () => {
      let total = 0;
      const started = performance.now();
      for (let done = 0; done < requests; done += window) {
        const tasks = await Promise.all(batch.map(pk => client.retrieve('tasks', pk)));
        total += tasks.reduce((before, task) => before + sum(task), 0);
      }
      const rate = perSecond(requests, started);
      if (!total) {
        throw new Error('the replies are empty');
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
      let started;
      let acknowledged = 0;
      // dcrf-client does not report that a subscription is live again, so count the acknowledgements. This listener
      // runs after the client's own, so they have been dispatched.
      const count = ({data}) => {
        if (data.includes('"response_status":201') && ++acknowledged === subscriptions) {
          const elapsed = performance.now() - started;
          transport.off('message', count);
          resolve(elapsed);
        }
      };
      // This runs before the client resubscribes.
      transport.once('open', () => {
        started = performance.now();
        transport.on('message', count);
      });
      transport.socket.reconnect();
    });
  },

  // Heap bytes of an idle subscription, including the promise that its caller keeps to cancel it.
  async subscription({subscriptions}) {
    const callback = () => {};
    return async () => {
      const client = await connected();
      const before = await heapUsed();
      const held = await subscribed(client, subscriptions, callback);
      const bytes = await heapUsed() - before;
      client.close(false);
      return bytes / held.length;
    };
  },

  // Resident bytes of an idle connected client. Only the first round of a process is meaningful.
  async client({clients}) {
    const held = [await connected()];
    return async () => {
      const before = await residentMemory();
      while (held.length <= clients) {
        held.push(await connected());
      }
      return (await residentMemory() - before) / clients;
    };
  },
};

// Silences existing and future loggers.
loglevel.setDefaultLevel('silent');
Object.values(loglevel.getLoggers()).forEach(logger => logger.setLevel('silent'));

const round = await workloads[workload](JSON.parse(settings));
for await (const _ of createInterface({input: process.stdin})) {
  console.log(JSON.stringify({value: await round()}));
}
// The clients would reconnect forever.
process.exit();
