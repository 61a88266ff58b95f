// Runs every usage of dcrf-client against a recording server, and writes the frames to frames.json.

import {readFileSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import loglevel from 'loglevel';
import {Peer} from './peer.mjs';
import {usages} from './usages.mjs';

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g;

// Replaces generated ids with names, numbered by their first appearance.
function idReplacer() {
  const names = new Map();
  const name = id => names.get(id) ?? names.set(id, `id${names.size + 1}`).get(id);
  return text => text.replace(UUID, name);
}

// Text that is not JSON is recorded as a string.
function frame(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

async function record(usage) {
  const peer = await Peer.start();
  await usage(peer);
  const replaceIds = idReplacer();
  const connections = peer.server.connections.map(({sent, close}) => ({
    sent: sent.map(text => frame(replaceIds(text))),
    ...(close === undefined ? {} : {close}),
  }));
  await peer.stop();
  return connections;
}

// Formats a connection with one frame per line.
function format(connection) {
  const {sent, ...rest} = connection;
  const frames = sent.map(frame => `\n        ${JSON.stringify(frame)}`).join(',');
  const more = Object.entries(rest).map(([key, value]) => `, "${key}": ${JSON.stringify(value)}`).join('');
  return `{"sent": [${frames}${frames && '\n      '}]${more}}`;
}

loglevel.setDefaultLevel('silent');
const entries = [];
for (const [name, usage] of Object.entries(usages)) {
  const connections = await record(usage);
  entries.push(`    ${JSON.stringify(name)}: [${connections.map(c => `\n      ${format(c)}`).join(',')}${connections.length ? '\n    ' : ''}]`);
}
const {name, version} = createRequire(import.meta.url)('dcrf-client/package.json');
const text = `{\n  "client": "${name} ${version}",\n  "usages": {\n${entries.join(',\n')}\n  }\n}\n`;
JSON.parse(text);
const file = new URL('frames.json', import.meta.url);
const before = (() => { try { return readFileSync(file, 'utf8'); } catch { return null; } })();
writeFileSync(file, text);
console.log(`${entries.length} usages, ${before === text ? 'unchanged' : 'frames.json has changed'}`);
