// The usages of dcrf-client, by name: everything in its README and its declarations that sends a frame. Each has a
// counterpart in `tests/tests/peer/`, which does the same with our core.

import {setTimeout} from 'node:timers/promises';
import {hooks} from './hooks.mjs';

const ALEX = {name: 'Alex'};
const JOHANNES = {name: 'Johannes', address: '123 Easy St'};
const GADGET = '00000000-0000-0000-0000-000000000001';

const ignore = () => {};

// A usage with a connected client, which waits for the replies.
const online = use => async peer => {
  const client = await peer.connected();
  await use(client, peer);
  await peer.flushed();
};

const requests = {
  list: online(client => client.list('people')),
  list_with_data: online(client => client.list('people', {search: 'Al'})),
  list_with_id: online(client => client.list('people', {search: 'Al'}, 'people-1')),
  create: online(client => client.create('people', ALEX)),
  create_with_id: online(client => client.create('people', ALEX, 'create-1')),
  create_with_every_type: online(client => client.create('people', {
    name: 'Zoë 😀 "\\', age: null, height: 1.5, id: 9007199254740991, tags: ['a', {b: [true, false, {}]}],
  })),
  retrieve: online(client => client.retrieve('people', 4)),
  retrieve_with_data: online(client => client.retrieve('people', 4, {fields: ['name']})),
  retrieve_with_id: online(client => client.retrieve('people', 4, {fields: ['name']}, 'retrieve-1')),
  retrieve_uuid: online(client => client.retrieve('gadgets', GADGET, {fields: ['name']})),
  update: online(client => client.update('people', 4, JOHANNES)),
  update_with_id: online(client => client.update('people', 4, JOHANNES, 'update-1')),
  patch: online(client => client.patch('people', 4, {name: 'Jefe'})),
  patch_with_id: online(client => client.patch('people', 4, {name: 'Jefe'}, 'patch-1')),
  delete: online(client => client.delete('people', 4)),
  delete_with_data: online(client => client.delete('people', 4, {reason: 'unliked'})),
  delete_with_id: online(client => client.delete('people', 4, {reason: 'unliked'}, 'delete-1')),
  // As in the README: without an action, so DCRF replies with an error.
  request: online(client => client.request('mystream', {key: 'value'}).catch(ignore)),
  request_with_action: online(client => client.request('tools', {action: 'greet', name: 'Alex'})),
  request_with_id: online(client => client.request('tools', {action: 'greet', name: 'Alex'}, 'greet-1')),
  request_with_number_as_id: online(client => client.request('tools', {action: 'greet', name: 'Alex'}, 77)),
  requests_at_once: online(client => Promise.all([
    client.create('people', ALEX),
    client.patch('people', 4, {name: 'Jefe'}),
    client.request('tools', {action: 'greet', name: 'Alex'}),
  ])),
};

const outages = {
  requests_before_connect: async peer => {
    const client = peer.connect();
    const created = client.create('people', ALEX);
    const patched = client.patch('people', 4, {name: 'Jefe'});
    await peer.opened();
    await Promise.all([created, patched]);
  },
  requests_offline: online(async (client, peer) => {
    await peer.goOffline();
    const created = client.create('people', ALEX);
    const patched = client.patch('people', 4, {name: 'Jefe'});
    await peer.goOnline();
    await Promise.all([created, patched]);
  }),
  create_unanswered_at_a_loss: online(async (client, peer) => {
    peer.server.unanswered.add('create');
    client.create('people', ALEX).catch(ignore);
    await peer.flushed();
    await peer.reconnect();
  }),
  list_unanswered_at_a_loss: online(async (client, peer) => {
    peer.server.unanswered.add('list');
    client.list('people', {search: 'Al'}).catch(ignore);
    await peer.flushed();
    await peer.reconnect();
  }),
  create_client_and_initialize: async peer => {
    const client = peer.createClient();
    const created = client.create('people', ALEX);
    client.initialize();
    await peer.opened();
    await created;
  },
  start_closed: async peer => {
    const client = peer.connect({websocket: {startClosed: true}});
    const created = client.create('people', ALEX);
    client.transport.socket.reconnect();
    await peer.opened();
    await created;
  },
};

const subscriptions = {
  subscribe: online(client => client.subscribe('people', 1, ignore)),
  subscribe_with_id: online(client => client.subscribe('people', 1, ignore, 'person-1')),
  subscribe_uuid: online(client => client.subscribe('gadgets', GADGET, ignore)),
  subscribe_two: online(async client => {
    await client.subscribe('people', 1, ignore);
    await client.subscribe('people', 2, ignore);
  }),
  subscribe_same_twice: online(async client => {
    await client.subscribe('people', 1, ignore);
    await client.subscribe('people', 1, ignore);
  }),
  pk_field: async peer => {
    const client = await peer.connected({pkField: 'id'});
    await client.subscribe('people', 1, ignore);
  },
  cancel: online(async client => {
    const subscription = client.subscribe('people', 1, ignore);
    await subscription;
    subscription.cancel();
  }),
  cancel_at_once: online(client => {
    const subscription = client.subscribe('people', 1, ignore);
    subscription.cancel();
    return subscription;
  }),
  cancel_offline: online(async (client, peer) => {
    const subscription = client.subscribe('people', 1, ignore);
    await subscription;
    await peer.goOffline();
    subscription.cancel();
    await peer.goOnline();
  }),
  subscribe_before_connect: async peer => {
    const client = peer.connect();
    const subscription = client.subscribe('people', 1, ignore);
    await peer.opened();
    await subscription;
  },
  subscribe_offline: online(async (client, peer) => {
    await peer.goOffline();
    const subscription = client.subscribe('people', 1, ignore);
    await peer.goOnline();
    await subscription;
  }),
  subscribe_between_requests: online(client => Promise.all([
    client.create('people', ALEX),
    client.subscribe('people', 1, ignore),
    client.patch('people', 4, {name: 'Jefe'}),
  ])),
  subscribe_between_requests_before_connect: async peer => {
    const client = peer.connect();
    const all = Promise.all([
      client.create('people', ALEX),
      client.subscribe('people', 1, ignore),
      client.patch('people', 4, {name: 'Jefe'}),
    ]);
    await peer.opened();
    await all;
  },
  reconnect: online(async (client, peer) => {
    await client.subscribe('people', 2, ignore);
    await client.subscribe('people', 1, ignore, 'person-1');
    await peer.reconnect();
    await peer.reconnect();
  }),
  reconnect_with_requests_offline: online(async (client, peer) => {
    await client.subscribe('people', 1, ignore);
    await peer.goOffline();
    const created = client.create('people', ALEX);
    await peer.goOnline();
    await created;
  }),
  failed_subscribe_and_reconnect: online(async (client, peer) => {
    peer.server.errors.set('subscribe_instance', 403);
    await client.subscribe('people', 1, ignore).catch(ignore);
    await peer.reconnect();
    await peer.reconnect();
  }),
  deleted_and_reconnect: online(async (client, peer) => {
    await client.subscribe('people', 1, ignore, 'person-1');
    peer.server.send({stream: 'people', payload: {
      errors: [], data: {pk: 1}, action: 'delete', response_status: 204, request_id: 'person-1',
    }});
    await peer.flushed();
    peer.server.errors.set('subscribe_instance', 404);
    await peer.reconnect();
    await peer.reconnect();
  }),
  unsubscribe_all: online(async client => {
    await client.subscribe('people', 1, ignore);
    await client.subscribe('people', 2, ignore);
    client.unsubscribeAll();
  }),
  unsubscribe_all_and_reconnect: online(async (client, peer) => {
    await client.subscribe('people', 1, ignore);
    await client.subscribe('people', 2, ignore);
    client.unsubscribeAll();
    await peer.reconnect();
  }),
  resubscribe: online(async client => {
    await client.subscribe('people', 1, ignore);
    await client.subscribe('people', 2, ignore, 'person-2');
    client.resubscribe();
  }),
  resubscribe_offline: online(async (client, peer) => {
    await client.subscribe('people', 1, ignore);
    await peer.goOffline();
    client.resubscribe();
    await peer.goOnline();
  }),
};

const ends = {
  close: async peer => {
    const client = await peer.connected();
    client.close();
    await peer.server.disconnected();
  },
  close_with_a_subscription: async peer => {
    const client = await peer.connected();
    await client.subscribe('people', 1, ignore);
    client.close();
    await peer.server.disconnected();
  },
  close_without_unsubscribe: async peer => {
    const client = await peer.connected();
    await client.subscribe('people', 1, ignore);
    client.close(false);
    await peer.server.disconnected();
  },
  close_with_a_request_in_flight: async peer => {
    const client = await peer.connected();
    client.create('people', ALEX).catch(ignore);
    client.close();
    await peer.server.disconnected();
  },
  close_offline: async peer => {
    const client = await peer.connected();
    await client.subscribe('people', 1, ignore);
    await peer.goOffline();
    client.create('people', ALEX).catch(ignore);
    client.close();
    peer.server.release();
    // The client must not connect again. It would after 1 ms.
    await setTimeout(50);
  },
};

// The first example of the README, without its last request, which is `request` above.
const readme = {
  readme: async peer => {
    const client = peer.connect();
    const all = [
      client.create('people', ALEX),
      client.retrieve('people', 4),
      client.update('people', 4, JOHANNES),
      client.patch('people', 4, {name: 'Jefe'}),
      client.delete('people', 4),
    ];
    const personalSubscription = client.subscribe('people', 1, ignore);
    personalSubscription.cancel();
    await peer.opened();
    await Promise.all(all);
  },
};

export const usages = {...requests, ...outages, ...subscriptions, ...ends, ...readme, ...hooks};
