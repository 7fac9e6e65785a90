// Goldens for a tokenizer.json, made by the official core (npm "tokenizers"): generated texts with their ids, offsets and decodings, and
// generated ids with their decodings. The same seed gives the same texts.
//   npm install --no-save --prefix OUT tokenizers@0.23.2 && node tokenizer_goldens.mjs OUT TOKENIZER_JSON SEED COUNT > goldens.json
// Offsets are flat [start, end, ...] in code points, as the core counts them.
import { createRequire } from 'node:module';
import fs from 'node:fs';
import path from 'node:path';

const [modules, file, seed, count] = process.argv.slice(2);
if (!count) { console.error('usage: node tokenizer_goldens.mjs MODULES_FOLDER TOKENIZER_JSON SEED COUNT'); process.exit(2); }
const { Tokenizer } = createRequire(path.resolve(modules, 'x.js'))('tokenizers');
const tokenizer = Tokenizer.fromFile(file);
const vocabulary = Object.values(tokenizer.getVocab(true)).sort((a, b) => a - b);
const byteIds = Array.from({ length: 256 }, (_, value) => tokenizer.tokenToId(`<0x${value.toString(16).toUpperCase().padStart(2, '0')}>`));
const special = JSON.parse(fs.readFileSync(file, 'utf8')).added_tokens.map(token => token.content);

let state = Number(seed) >>> 0;                                     // mulberry32
function random() {
  state = (state + 0x6D2B79F5) >>> 0;
  let x = Math.imul(state ^ (state >>> 15), state | 1);
  x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
  return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
}
const below = limit => Math.floor(random() * limit);
const one = list => list[below(list.length)];
const times = (most, make) => Array.from({ length: below(most + 1) }, make);

const words = 'the of and Natalia clips 48/2 = <<48/2=24>>24 don\'t naïve Straße 日本語 テスト 한국어 привет مرحبا हिन्दी ไทย 🙂👍🏽 e\u0301 x\u200By \u00a0 \ufeff // {"a": [1, 2.5]} ▁ ▁▁ $x^2$ \\n http://a.b/c?d=e'.split(' ');
const spaces = [' ', ' ', ' ', '  ', '\n', '\n\n', '\t', '\r\n', '   ', '\n \n', ''];
function character() {
  const range = one([[0x20, 0x7e], [0x0, 0x2ff], [0x370, 0x52f], [0x4e00, 0x9fff], [0x1f300, 0x1faff], [0x2000, 0x2bff], [0x0, 0x10ffff]]);
  const value = range[0] + below(range[1] - range[0] + 1);
  return value >= 0xd800 && value <= 0xdfff ? '?' : String.fromCodePoint(value);
}
const kinds = [
  () => times(30, () => one(words) + one(spaces)).join(''),
  () => times(20, () => random() < 0.3 ? one(special) : one(words) + one(spaces)).join(''),
  () => times(40, character).join(''),
  () => one(words).repeat(below(60)),
  () => times(200, () => one('abcdefghijklmnopqrstuvwxyz'.split(''))).join(''),
  () => times(40, () => one(['the', 'in', 'er', '\n', ' ', '0', 'é', '<', '|', '>', 'turn'])).join(''),
];

const items = [];
for (let i = 0; i < Number(count); i++) {
  const text = kinds[i % kinds.length]();
  const encoding = await tokenizer.encode(text, null, { addSpecialTokens: false });
  const ids = encoding.getIds();
  items.push({ text, ids, offsets: encoding.getOffsets().flat(), decoded: await tokenizer.decode(ids, false), decoded_skip_special: await tokenizer.decode(ids, true) });
}
const decodeOnly = [];
for (let i = 0; i < Number(count) / 2; i++) {
  const ids = times(12, () => random() < 0.6 ? one(byteIds) : one(vocabulary));
  decodeOnly.push({ ids, decoded: await tokenizer.decode(ids, false), decoded_skip_special: await tokenizer.decode(ids, true) });
}
console.log(JSON.stringify({ items, decode_only: decodeOnly }));
