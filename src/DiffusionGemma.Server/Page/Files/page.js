'use strict';

// The chat of the page. Text from the model is only ever set as text, never as markup.
const byId = id => document.getElementById(id);
const conversation = byId('conversation');
// A column is a model with its own answers; two answer the same questions beside each other.
const state = { key: null, models: [], columns: [], running: null };

function add(parent, tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

function headers() {
  const all = { 'Content-Type': 'application/json' };
  if (state.key) all.Authorization = `Bearer ${state.key}`;
  return all;
}

function askForKey() {
  return new Promise(resolve => {
    const dialog = byId('key-dialog');
    dialog.addEventListener('close', () => { state.key = byId('key').value; byId('key').value = ''; resolve(); }, { once: true });
    dialog.showModal();
  });
}

// Waits for the weights: /health says what the server does meanwhile.
async function findModel() {
  const { asksForKey, hasRuns } = await (await fetch('page.json')).json();
  for (;;) {
    const health = await (await fetch('health')).json();
    if (health.status === 'ready') break;
    byId('model').textContent = { loading: 'the model is being loaded', failed: 'the model could not be loaded' }[health.status] ?? health.status;
    if (health.status === 'failed') return;
    if (health.status === 'loading') fetch('v1/models', { headers: headers() }).catch(() => {});
    await new Promise(resolve => setTimeout(resolve, 1000));
  }
  for (;;) {
    if (asksForKey && !state.key) await askForKey();
    const answer = await fetch('v1/models', { headers: headers() });
    if (answer.status === 401) { state.key = null; continue; }
    state.models = (await answer.json()).data.map(model => model.id);
    byId('model').textContent = state.models[0];
    byId('views').hidden = !hasRuns;
    showModels();
    return;
  }
}

// Several models, such as a base and its adapters: one is chosen, and another may answer beside it.
function showModels() {
  byId('models').hidden = state.models.length < 2;
  for (const [id, none] of [['first-model', false], ['second-model', true]]) {
    byId(id).replaceChildren();
    for (const name of [...(none ? [''] : []), ...state.models]) add(byId(id), 'option', '', name || 'none').value = name;
  }
  chooseModels();
}

// Another choice begins another conversation: an answer of one model is no turn of another.
function chooseModels() {
  const names = [byId('first-model').value, byId('second-model').value].filter((name, i, all) => name && all.indexOf(name) === i);
  byId('model').textContent = names.join(' and ');
  state.columns = names.map(model => ({ model, messages: [] }));
  conversation.replaceChildren();
}

// One turn of the assistant on the page: the canvas while it settles, then text, thoughts and tool calls.
class Turn {
  constructor(parent, name) {
    this.element = add(parent, 'article', 'turn assistant');
    this.element.setAttribute('aria-label', name ? `Answer of ${name}` : 'Answer');
    if (name) add(this.element, 'p', 'name', name);
    this.thoughts = null;
    this.text = add(this.element, 'p', 'text');
    this.text.setAttribute('aria-live', 'polite');
    this.canvas = add(this.element, 'div', 'canvas');
    this.canvas.setAttribute('aria-hidden', 'true');
    this.figures = add(this.element, 'p', 'figures');
    this.answer = { role: 'assistant', content: '' };
    this.steps = 0;
    this.tokens = 0;
    this.began = performance.now();
  }

  showDraft(draft) {
    this.steps++;
    const spans = draft.tokens.map((token, i) => {
      const span = document.createElement('span');
      // 0 nats is certain; from 4 nats on a position is as good as random.
      const sure = Math.max(0, Math.min(4, Math.round(4 - (draft.entropies[i] ?? 4))));
      span.className = `sure${sure}${draft.settled[i] ? ' settled' : ''}`;
      span.textContent = token === '' ? '\u00b7' : token;
      return span;
    });
    this.canvas.replaceChildren(...spans);
    const seconds = (performance.now() - this.began) / 1000;
    this.figures.textContent = `canvas ${draft.canvas + 1}, step ${draft.step + 1}, ${(this.steps / seconds).toFixed(1)} steps/s`;
  }

  append(delta) {
    if (delta.content) { this.answer.content += delta.content; this.text.textContent = this.answer.content; }
    if (delta.reasoning_content) {
      if (!this.thoughts) {
        const folded = document.createElement('details');
        add(folded, 'summary', '', 'Thoughts');
        this.thoughts = add(folded, 'p', 'text', '');
        this.element.prepend(folded);
      }
      this.thoughts.textContent += delta.reasoning_content;
    }
    for (const call of delta.tool_calls ?? []) {
      const folded = add(this.element, 'details');
      add(folded, 'summary', '', `Calls ${call.function.name}`);
      add(folded, 'p', 'text', call.function.arguments);
      const { index, ...kept } = call;
      (this.answer.tool_calls ??= []).push(kept);
    }
  }

  end(usage, reason) {
    this.canvas.remove();
    const seconds = (performance.now() - this.began) / 1000;
    const parts = [];
    if (usage) {
      parts.push(`${usage.completion_tokens} tokens`, `${usage.completion_tokens_details.denoising_steps} denoising steps`,
        `${(usage.completion_tokens / seconds).toFixed(1)} tokens/s`);
    }
    if (reason) parts.push(reason);
    this.figures.textContent = parts.join(', ');
  }

  fail(message) {
    this.canvas.remove();
    add(this.element, 'p', 'error', message).setAttribute('role', 'alert');
  }
}

function request(column) {
  const body = {
    model: column.model, messages: [...column.messages], stream: true, stream_options: { include_usage: true, include_drafts: true },
  };
  const system = byId('system').value.trim();
  if (system) body.messages.unshift({ role: 'system', content: system });
  const number = id => byId(id).value === '' ? undefined : Number(byId(id).value);
  body.max_tokens = number('max-tokens');
  body.temperature = number('temperature');
  body.seed = number('seed');
  if (byId('thinking').checked) body.reasoning_effort = 'medium';
  return body;
}

// Server-sent events of a response, as { name, data }.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value;
    let end;
    while ((end = rest.indexOf('\n\n')) >= 0) {
      const lines = rest.slice(0, end).split('\n');
      rest = rest.slice(end + 2);
      const field = name => lines.filter(line => line.startsWith(`${name}: `)).map(line => line.slice(name.length + 2)).join('\n');
      yield { name: field('event'), data: field('data') };
    }
  }
}

async function answer(column, turn, signal) {
  try {
    const response = await fetch('v1/chat/completions', {
      method: 'POST', headers: headers(), body: JSON.stringify(request(column)), signal,
    });
    if (!response.ok) throw new Error((await response.json()).error.message);
    let usage = null;
    let reason = null;
    let done = false;
    for await (const event of events(response)) {
      if (event.data === '[DONE]') { done = true; break; }
      const chunk = JSON.parse(event.data);
      if (chunk.error) throw new Error(chunk.error.message);
      if (event.name === 'draft') turn.showDraft(chunk);
      for (const choice of chunk.choices ?? []) {
        turn.append(choice.delta);
        if (choice.finish_reason === 'length') reason = 'cut at the most tokens allowed';
      }
      usage = chunk.usage ?? usage;
      conversation.scrollTop = conversation.scrollHeight;
    }
    if (!done) throw new Error('The connection ended before the answer did.');
    turn.end(usage, reason);
    column.messages.push(turn.answer);
  } catch (error) {
    if (error.name === 'AbortError') { turn.end(null, 'stopped'); if (turn.answer.content) column.messages.push(turn.answer); }
    else turn.fail(error.message);
  }
}

// All columns answer at once, in one batch of the server.
async function answerAll() {
  state.running = new AbortController();
  busy(true);
  try {
    const parent = state.columns.length > 1 ? add(conversation, 'div', 'answers') : conversation;
    await Promise.all(state.columns.map(column => answer(
      column, new Turn(parent, state.columns.length > 1 ? column.model : ''), state.running.signal)));
  } finally {
    state.running = null;
    busy(false);
    byId('question').focus();
  }
}

function busy(isBusy) {
  byId('send').disabled = isBusy;
  byId('stop').disabled = !isBusy;
  byId('first-model').disabled = byId('second-model').disabled = isBusy;
}

function stop() {
  state.running?.abort();
}

byId('ask').addEventListener('submit', event => {
  event.preventDefault();
  const text = byId('question').value.trim();
  if (!text || state.running || state.columns.length === 0) return;
  byId('question').value = '';
  for (const { messages } of state.columns) {
    // Two questions in a row: the one before was not answered.
    if (messages.at(-1)?.role === 'user') messages.pop();
    messages.push({ role: 'user', content: text });
  }
  const turn = add(conversation, 'article', 'turn user');
  turn.setAttribute('aria-label', 'Question');
  add(turn, 'p', 'text', text);
  answerAll();
});
byId('question').addEventListener('keydown', event => {
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) { event.preventDefault(); byId('ask').requestSubmit(); }
});
document.addEventListener('keydown', event => { if (event.key === 'Escape') stop(); });
byId('stop').addEventListener('click', stop);
byId('clear').addEventListener('click', () => { stop(); chooseModels(); byId('question').focus(); });
for (const id of ['first-model', 'second-model']) byId(id).addEventListener('change', chooseModels);

findModel().catch(error => { byId('model').textContent = `the server does not answer: ${error.message}`; });
