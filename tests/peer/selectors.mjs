// Writes pairs of an object and a pattern with the result of lodash's `isMatch`, for the tests in
// `dcrf-proto/tests/session/selectors.rs`. The first line has the version of lodash; each other line is
// `[object, pattern, matches]`.
//
// The values are JSON text, with numbers and letters in different spellings. Known differences between JavaScript
// and Rust are left out: integers above 2^53, which JavaScript rounds, `__proto__`, which it inherits, and unpaired
// surrogates, which it allows.

import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

import isMatch from "lodash.ismatch";

import { EDGES } from "./edges.mjs";

const SEED = 20_240_229;
const RANDOM_PAIRS = 4_500;
const MAX_DEPTH = 5;
const MAX_LENGTH = 260;
const TARGET = new URL("../../dcrf-proto/tests/session/selectors.jsonl", import.meta.url);

// Few keys and values, so that independent draws are often equal.
const KEYS = ["a", "b", "c", "id", "data", "0", "length", "", "имя", "naïve", "😀", "constructor"];
const LEAVES = [
    null, null, true, false, 0, 1, 2, -1, 1.5, -0.25, 0.1, 1e21, 1e-7, 2 ** 53, -(2 ** 31), 0.1 + 0.2,
    "", "a", "1", "null", "é", "e\u0301", "имя", "😀", "😀😁", "\u0000", "a\"\\\n", "日本",
];

// mulberry32, which draws the same numbers on each machine.
let state = SEED;
function random() {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}
const below = (limit) => Math.floor(random() * limit);
const chance = (probability) => random() < probability;
const oneOf = (list) => list[below(list.length)];

function shuffled(list) {
    const cards = [...list];
    for (let at = cards.length - 1; at > 0; at--) {
        const other = below(at + 1);
        [cards[at], cards[other]] = [cards[other], cards[at]];
    }
    return cards;
}

const isObject = (value) => value !== null && typeof value === "object";
const rebuilt = (entries) => Object.fromEntries(entries);

function leaf() {
    if (chance(0.1)) return below(2000) - 1000;
    if (chance(0.05)) return (random() - 0.5) * 10 ** below(6);
    return oneOf(LEAVES);
}

function value(depth) {
    if (depth === 0 || chance(0.3)) return leaf();
    return chance(0.4) ? array(depth) : object(depth);
}

function array(depth) {
    const items = Array.from({ length: below(4) }, () => value(depth - 1));
    // Similar elements, so that it matters which one matches which.
    return items.length > 0 && chance(0.4) ? [...items, mutated(oneOf(items)), oneOf(items)] : items;
}

function object(depth) {
    const size = below(4);
    return rebuilt(Array.from({ length: size }, () => [oneOf(KEYS), value(depth - 1)]));
}

// A random part of a value, like a pattern written for it.
function part(whole, kept) {
    if (Array.isArray(whole)) {
        return shuffled(whole.filter(() => chance(kept))).map((item) => part(item, kept));
    }
    if (isObject(whole)) {
        const entries = Object.entries(whole).filter(() => chance(kept));
        return rebuilt(shuffled(entries).map(([key, item]) => [key, part(item, kept)]));
    }
    return whole;
}

// The value with one random difference.
function mutated(whole) {
    if (Array.isArray(whole)) {
        if (whole.length > 0 && chance(0.7)) {
            const at = below(whole.length);
            return whole.map((item, index) => (index === at ? mutated(item) : item));
        }
        return oneOf([
            () => [...whole, leaf()],
            () => (whole.length > 0 ? [...whole, oneOf(whole)] : [[]]),
            () => whole.slice(1),
            () => ({ ...whole }),
            () => ({}),
        ])();
    }
    if (isObject(whole)) {
        const keys = Object.keys(whole);
        if (keys.length > 0 && chance(0.7)) {
            const key = oneOf(keys);
            return { ...whole, [key]: mutated(whole[key]) };
        }
        return oneOf([
            () => ({ ...whole, [oneOf(KEYS)]: leaf() }),
            () => ({ ...whole, [oneOf(KEYS)]: null }),
            () => rebuilt(Object.entries(whole).slice(1)),
            () => Object.values(whole),
            () => [],
        ])();
    }
    return oneOf([leaf, leaf, () => null, () => String(whole), () => Number(whole) || 0, () => [whole], () => ({})])();
}

function pair() {
    const whole = chance(0.9) ? object(MAX_DEPTH) : array(MAX_DEPTH);
    if (chance(0.05)) return [whole, value(3)];
    const pattern = part(whole, 0.5 + random() / 2);
    return [whole, chance(0.5) ? mutated(pattern) : pattern];
}

// The JSON text of a value, with some numbers and letters in another spelling.
function text(value) {
    if (Array.isArray(value)) return `[${value.map(text).join()}]`;
    if (isObject(value)) {
        return `{${Object.entries(value).map(([key, item]) => `${text(key)}:${text(item)}`).join()}}`;
    }
    const plain = Object.is(value, -0) ? "-0" : JSON.stringify(value);
    if (!chance(0.2)) return plain;
    if (Number.isInteger(value) && !plain.includes("e")) return plain + oneOf([".0", "e0", ".00E+0"]);
    if (typeof value !== "string") return plain;
    // Python's json module escapes like this.
    return plain.replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

const depth = (value) => (isObject(value) ? 1 + Math.max(0, ...Object.values(value).map(depth)) : 0);

const lines = new Set();
const counts = { true: 0, false: 0, deepTrue: 0, deepFalse: 0 };
function add(object, pattern) {
    const matches = isMatch(JSON.parse(object), JSON.parse(pattern));
    const line = `[${object},${pattern},${matches}]`;
    if (line.length > MAX_LENGTH || lines.has(line)) return false;
    lines.add(line);
    counts[matches] += 1;
    if (depth(JSON.parse(pattern)) >= 3) counts[matches ? "deepTrue" : "deepFalse"] += 1;
    return true;
}

for (const [object, pattern] of EDGES) {
    if (!add(object, pattern)) throw new Error(`duplicate or too long: ${object} ${pattern}`);
}
// Most random values are shallow, so every second pattern must be deep.
for (let drawn = 0; drawn < RANDOM_PAIRS; ) {
    const [object, pattern] = pair();
    if (depth(pattern) < (drawn % 2 === 0 ? 3 : 1)) continue;
    if (add(text(object), text(pattern))) drawn += 1;
}

const { version } = createRequire(import.meta.url)("lodash.ismatch/package.json");
const header = JSON.stringify({ "lodash.ismatch": version, seed: SEED, pairs: lines.size });
writeFileSync(TARGET, [header, ...lines, ""].join("\n"));
console.log(`${lines.size} pairs with lodash.ismatch ${version}, ${readFileSync(TARGET).length} bytes`, counts);
