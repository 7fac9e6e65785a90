// Speaks to a server with OpenAI's own client (npm "openai"): what it gets is one JSON object on standard output.
//   npm install --no-save --prefix OUT openai@6.30.1 && node openai_client.mjs OUT http://localhost:8080/v1 KEY MODEL QUESTION SEED
import { createRequire } from 'node:module';
import path from 'node:path';

const [modules, baseURL, apiKey, model, question, seed] = process.argv.slice(2);
if (!seed) { console.error('usage: node openai_client.mjs MODULES_FOLDER BASE_URL KEY MODEL QUESTION SEED'); process.exit(2); }
const { OpenAI } = createRequire(path.resolve(modules, 'x.js'))('openai');
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const ask = { model, seed: Number(seed), max_tokens: 64, messages: [{ role: 'user', content: question }] };

const models = [];
for await (const one of client.models.list()) models.push(one.id);
const whole = await client.chat.completions.create(ask);

let streamed = '';
let streamedUsage = null;
let finish = null;
for await (const chunk of await client.chat.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } })) {
  streamed += chunk.choices[0]?.delta?.content ?? '';
  finish = chunk.choices[0]?.finish_reason ?? finish;
  streamedUsage = chunk.usage ?? streamedUsage;
}

const schema = { type: 'object', properties: { sum: { type: 'integer' } }, required: ['sum'], additionalProperties: false };
const typed = await client.chat.completions.create({
  ...ask, response_format: { type: 'json_schema', json_schema: { name: 'sum', schema, strict: true } },
});
const choices = await client.chat.completions.create({ ...ask, n: 2 });

async function refusal(call) {
  try { await call(); return null; } catch (error) { return { status: error.status, param: error.param, code: error.code, kind: error.constructor.name }; }
}
const badMember = await refusal(() => client.chat.completions.create({ ...ask, temperature: -1 }));
const noModel = await refusal(() => client.chat.completions.create({ ...ask, model: 'gpt' }));
const wrongKey = await refusal(() => new OpenAI({ baseURL, apiKey: 'wrong', maxRetries: 0 }).models.list());

console.log(JSON.stringify({
  models, whole: whole.choices[0].message.content, usage: whole.usage, streamed, streamedUsage, finish,
  typed: typed.choices[0].message.content, choices: choices.choices.map(choice => choice.message.content), badMember, noModel, wrongKey,
}));
