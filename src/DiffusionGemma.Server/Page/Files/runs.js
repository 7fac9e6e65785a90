'use strict';

// The runs of the page: curves of one run, or of two over each other, drawn again while they train.
const runs = { shown: false, timer: null, data: new Map(), charts: null, loading: null, answers: null };
const pollMilliseconds = 1000;
const noiseColumn = /^DiffusionLoss(\d\.\d+)$/;

function charts() {
  const parent = byId('charts');
  return runs.charts ??= {
    loss: new Chart(parent, 'Loss, nats a token'),
    diffusion: new Chart(parent, 'Diffusion loss'),
    encoder: new Chart(parent, 'Encoder loss'),
    norm: new Chart(parent, 'Gradient norm'),
    rate: new Chart(parent, 'Learning rate'),
    heldOut: new Chart(parent, 'Held-out diffusion loss'),
    noise: new Chart(parent, 'Held-out loss by noise level, all evaluations'),
  };
}

async function getJson(path) {
  const response = await fetch(path, { headers: headers() });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error.message);
  return answer;
}

// Only the steps that are not here yet are asked for.
async function load(name) {
  const known = runs.data.get(name);
  const count = known?.steps.Step?.length ?? 0;
  const answer = await getJson(`runs/${encodeURIComponent(name)}?known=${count}`);
  const columns = Object.keys(answer.steps);
  if (known && answer.from === count && count > 0 && columns.every(column => column in known.steps)) {
    for (const [column, values] of Object.entries(answer.steps)) known.steps[column].push(...values);
    known.evaluations = answer.evaluations;
    known.options = answer.options;
  } else {
    runs.data.set(name, answer);
  }
}

function fill(select, names, none) {
  const chosen = select.value;
  const options = [...(none ? [''] : []), ...names];
  if ([...select.options].map(option => option.value).join('\n') === options.join('\n')) return;
  select.replaceChildren(...options.map(name => {
    const option = document.createElement('option');
    option.value = name;
    option.textContent = name || 'none';
    return option;
  }));
  if (options.includes(chosen)) select.value = chosen;
}

// One after the other: two at once would add the same steps twice.
function refresh() {
  clearTimeout(runs.timer);
  runs.loading = (runs.loading ?? Promise.resolve()).then(refreshNow);
}

async function refreshNow() {
  if (!runs.shown) return;
  try {
    const { runs: names } = await getJson('runs');
    fill(byId('run'), names, false);
    fill(byId('other-run'), names, true);
    const chosen = [byId('run').value, byId('other-run').value].filter((name, i, all) => name && all.indexOf(name) === i);
    await Promise.all(chosen.map(load));
    byId('run-state').textContent = names.length === 0 ? 'no run has written a report yet' : '';
    draw(chosen);
    await drawAnswers(chosen);
  } catch (error) {
    byId('run-state').textContent = error.message;
  }
  clearTimeout(runs.timer);
  if (runs.shown) runs.timer = setTimeout(refresh, pollMilliseconds);
}

function draw(names) {
  const all = names.map((name, i) => ({ name, order: i + 1, ...runs.data.get(name) }));
  const weight = Number(byId('smoothing').value);
  const line = (run, column, className = '') => ({
    name: run.name, className: `run${run.order} ${className}`,
    points: (run.steps[column] ?? []).map((value, i) => [run.steps.Step[i], value]),
  });
  // The raw line has no name: the caption says the smoothed one's last value.
  const smoothed = column => all.flatMap(run => {
    const raw = line(run, column, 'raw');
    const values = smooth(raw.points.map(point => point[1]), weight);
    return [{ ...raw, name: '' }, { ...line(run, column), points: raw.points.map((point, i) => [point[0], values[i]]) }];
  });
  const all7 = charts();
  all7.loss.draw(smoothed('Loss'));
  all7.diffusion.draw(smoothed('DiffusionLoss'));
  all7.encoder.draw(smoothed('EncoderLoss'));
  all7.norm.draw(all.map(run => line(run, 'GradientNorm')));
  all7.rate.draw(all.map(run => line(run, 'LearningRate')));
  all7.heldOut.draw(all.map(run => ({
    name: run.name, className: `run${run.order}`,
    points: (run.evaluations.DiffusionLoss ?? []).map((value, i) => [run.evaluations.Step[i], value]),
  })));
  all7.noise.draw(all.flatMap(byNoise), one => one.words);
  drawOptions(all);
}

// One line an evaluation over the noise levels: the first is faint, the last full.
function byNoise(run) {
  const columns = Object.keys(run.evaluations).filter(name => noiseColumn.test(name));
  const steps = run.evaluations.Step ?? [];
  return steps.map((step, i) => {
    const points = columns.map(column => [Number(noiseColumn.exec(column)[1]), run.evaluations[column][i]]);
    const age = Math.min(4, steps.length - 1 - i);
    return {
      className: `run${run.order} age${age}`, points, name: age === 0 ? run.name : '',
      words: `${run.name} after ${step} steps, from ${figure(points[0]?.[1])} at little noise to ${figure(points.at(-1)?.[1])} at most`,
    };
  });
}

// The answers of one evaluation, by default of the newest, of each run. They are asked for anew where the evaluation or the runs changed.
async function drawAnswers(names) {
  const steps = [...new Set(names.flatMap(name => runs.data.get(name).evaluations.Step ?? []))].sort((a, b) => b - a);
  const select = byId('evaluation'), newest = select.value === '' || select.selectedIndex === 0;
  fill(select, steps.map(String), false);
  select.querySelectorAll('option').forEach(option => { option.textContent = `after ${option.value} steps`; });
  if (newest) select.selectedIndex = 0;
  const wanted = JSON.stringify([names, select.value, steps[0]]);
  if (steps.length === 0) {
    byId('held-out-answers').hidden = true;
    runs.answers = null;
    return;
  }
  if (runs.answers === wanted) return;
  const all = await Promise.all(names.map(name => getJson(`runs/${encodeURIComponent(name)}/answers?step=${select.value}`)));
  byId('held-out-answers').hidden = newest && all.every(one => one.answers.length === 0);
  byId('answer-tables').replaceChildren();
  names.forEach((name, i) => answerTable(name, i + 1, all[i].answers));
  runs.answers = wanted;
}

function answerTable(name, order, answers) {
  const table = add(byId('answer-tables'), 'table');
  const right = answers.filter(answer => answer.isMatch === true).length;
  const compared = answers.filter(answer => typeof answer.isMatch === 'boolean').length;
  add(table, 'caption', `run${order}`, answers.length === 0 ? `${name}: no answers at this evaluation`
    : compared === 0 ? name : `${name}: ${right} of ${compared} right`);
  if (answers.length === 0) return;
  const head = add(add(table, 'thead'), 'tr');
  for (const title of ['Question', 'Expected', 'Answer', '']) add(head, 'th', '', title);
  const body = add(table, 'tbody');
  for (const answer of answers) {
    const row = add(body, 'tr');
    add(row, 'td', '', question(answer.prompt) ?? ids(answer.promptIds)).title = String(answer.prompt ?? '');
    add(row, 'td', '', String(answer.expected ?? ids(answer.expectedIds)));
    add(row, 'td', answer.error ? 'wrong' : '', String(answer.error ?? answer.response ?? ids(answer.responseIds)));
    add(row, 'td', answer.isMatch === false ? 'wrong' : '', answer.isMatch === true ? '✓ right' : answer.isMatch === false ? '✗ wrong' : '');
  }
}

// The last message of a prompt's user; the whole prompt where its template writes turns in another way.
function question(prompt) {
  if (typeof prompt !== 'string') return null;
  const turns = [...prompt.matchAll(/<\|turn>user\n([\s\S]*?)<turn\|>/g)];
  return turns.length > 0 ? turns.at(-1)[1] : prompt;
}

function ids(list) {
  return Array.isArray(list) ? list.join(' ') : '';
}

// Options beside each other; those that differ are marked.
function drawOptions(all) {
  const names = [...new Set(all.flatMap(run => Object.keys(run.options ?? {})))];
  const table = byId('run-options');
  table.replaceChildren();
  const head = add(table, 'tr');
  add(head, 'th', '', 'Option');
  for (const run of all) add(head, 'th', `run${run.order}`, run.name);
  for (const name of names) {
    const values = all.map(run => run.options?.[name] ?? 'default');
    const row = add(table, 'tr', values.some(value => value !== values[0]) ? 'differs' : '');
    add(row, 'th', '', name);
    for (const value of values) add(row, 'td', '', String(value));
  }
}

function show(isRuns) {
  runs.shown = isRuns;
  byId('runs').hidden = !isRuns;
  byId('conversation').hidden = isRuns;
  byId('ask').hidden = isRuns;
  byId('clear').hidden = isRuns;
  byId('show-runs').setAttribute('aria-pressed', String(isRuns));
  byId('show-chat').setAttribute('aria-pressed', String(!isRuns));
  refresh();
}

byId('show-runs').addEventListener('click', () => show(true));
byId('show-chat').addEventListener('click', () => show(false));
for (const id of ['run', 'other-run', 'smoothing', 'evaluation']) byId(id).addEventListener('change', refresh);
