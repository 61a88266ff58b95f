// The usages of `send` and `sendNow`, and of the options that change what dcrf-client sends.

const ALEX = {name: 'Alex'};
const PING = {stream: 'tools', payload: {action: 'ping'}};

const ignore = () => {};

// A usage with a connected client that has these options.
const online = (options, use) => async peer => {
  const client = await peer.connected(options);
  await use(client, peer);
  await peer.flushed();
};

// Makes a new token for each message.
const tokens = () => {
  let count = 0;
  return () => `token-${++count}`;
};

export const hooks = {
  send: online({}, client => client.send(PING)),
  send_offline: online({}, async (client, peer) => {
    await peer.goOffline();
    const created = client.create('people', ALEX);
    client.send(PING);
    await peer.goOnline();
    await created;
  }),
  send_now: online({}, client => client.sendNow(PING)),
  // The message waits in the queue of reconnecting-websocket, which is sent first.
  send_now_offline: online({}, async (client, peer) => {
    await client.subscribe('people', 1, ignore);
    await peer.goOffline();
    const created = client.create('people', ALEX);
    client.sendNow(PING);
    await peer.goOnline();
    await created;
  }),
  preprocess_payload: async peer => {
    const token = tokens();
    const client = await peer.connected({
      preprocessPayload: (stream, payload, requestId) => {
        payload.token = `${token()} for ${stream}`;
        payload.ref = requestId;
      },
    });
    await client.create('people', ALEX);
    await client.subscribe('people', 1, ignore);
    await peer.reconnect();
  },
  preprocess_payload_that_returns: online({
    preprocessPayload: () => ({this: 'is my new payload'}),
  }, (client, peer) => {
    client.create('people', ALEX).catch(ignore);
    return peer.flushed();
  }),
  preprocess_message: async peer => {
    const token = tokens();
    const client = await peer.connected({
      preprocessMessage: message => {
        message.token = token();
      },
    });
    await client.create('people', ALEX);
    await client.subscribe('people', 1, ignore);
    client.send(PING);
    await peer.flushed();
    await peer.reconnect();
  },
  preprocess_message_that_returns: online({
    preprocessMessage: () => ({stream: 'creek', payload: 'craycrayload'}),
  }, (client, peer) => {
    client.create('people', ALEX).catch(ignore);
    return peer.flushed();
  }),
  build_multiplexed_message: online({
    buildMultiplexedMessage: (stream, payload) => ({stream, payload, version: 2}),
  }, async (client, peer) => {
    await client.create('people', ALEX);
    await client.subscribe('people', 1, ignore);
    await peer.reconnect();
  }),
  // A consumer without the multiplexer. The server does not reply, since this client could not read the reply.
  build_multiplexed_message_bare: online({
    buildMultiplexedMessage: (stream, payload) => payload,
  }, (client, peer) => {
    client.create('people', ALEX).catch(ignore);
    client.subscribe('people', 1, ignore).catch(ignore);
    return peer.flushed();
  }),
  build_subscribe_payload: async peer => {
    const token = tokens();
    const client = await peer.connected({
      buildSubscribePayload: (pk, requestId) => (
        {action: 'subscribe_instance', request_id: requestId, pk, token: token()}
      ),
    });
    await client.subscribe('people', 1, ignore);
    await peer.reconnect();
  },
  // The way to subscribe with a custom action in this version.
  build_subscribe_payload_of_another_action: online({
    buildSubscribePayload: (pk, request_id) => ({action: 'subscribe_to_person', request_id, person: pk}),
  }, async (client, peer) => {
    client.subscribe('people', 1, ignore).catch(ignore);
    await peer.flushed();
  }),
  serializer: online({
    serializer: {
      serialize: message => `json ${JSON.stringify(message)}`,
      deserialize: text => JSON.parse(text),
    },
  }, (client, peer) => {
    client.create('people', ALEX).catch(ignore);
    return peer.flushed();
  }),
};
