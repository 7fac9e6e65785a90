'use strict';

// Line charts as SVG. A chart takes series of { name, points: [[x, y], ...], className }; y that is null leaves a gap.
// The parser of the page knows SVG's namespace.
const svgSpace = document.querySelector('svg').namespaceURI;

function svg(parent, tag, attributes, text) {
  const element = document.createElementNS(svgSpace, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

// A number for people: three digits that say something.
function figure(value) {
  if (value === null || value === undefined) return 'none';
  if (value === 0) return '0';
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(4)));
}

class Chart {
  constructor(parent, title) {
    this.figure = document.createElement('figure');
    this.figure.className = 'chart';
    this.svg = svg(this.figure, 'svg', { viewBox: '0 0 420 220', role: 'img' });
    this.caption = document.createElement('figcaption');
    this.figure.append(this.caption);
    this.title = title;
    parent.append(this.figure);
  }

  // The caption says the last figures, for those who do not see the lines.
  draw(series, captionOf) {
    const shown = series.map(one => ({ ...one, points: thin(one.points) }));
    const all = shown.flatMap(one => one.points.filter(point => point[1] !== null));
    this.figure.hidden = all.length === 0;
    this.svg.replaceChildren();
    if (all.length === 0) return;
    const box = { left: 52, right: 410, top: 10, bottom: 194 };
    let [low, high] = range(all.map(point => point[1]));
    let [first, last] = range(all.map(point => point[0]));
    // Rounding of a smoothed constant is no change.
    if (high - low <= 1e-9 * Math.max(Math.abs(low), Math.abs(high))) { low -= Math.abs(low) / 2 || 1; high += Math.abs(high) / 2 || 1; }
    if (first === last) last = first + 1;
    const x = value => box.left + (value - first) / (last - first) * (box.right - box.left);
    const y = value => box.bottom - (value - low) / (high - low) * (box.bottom - box.top);
    for (let i = 0; i <= 2; i++) {
      const value = low + (high - low) * i / 2;
      svg(this.svg, 'line', { class: 'grid', x1: box.left, x2: box.right, y1: y(value), y2: y(value) });
      svg(this.svg, 'text', { class: 'tick', x: box.left - 6, y: y(value) + 4, 'text-anchor': 'end' }, figure(value));
      const at = first + (last - first) * i / 2;
      svg(this.svg, 'text', { class: 'tick', x: x(at), y: 212, 'text-anchor': ['start', 'middle', 'end'][i] }, figure(at));
    }
    for (const one of shown) {
      let path = '';
      let isDown = false;
      for (const [px, py] of one.points) {
        if (py === null) { isDown = false; continue; }
        path += `${isDown ? 'L' : 'M'}${x(px).toFixed(1)} ${y(py).toFixed(1)}`;
        isDown = true;
      }
      svg(this.svg, 'path', { class: `line ${one.className}`, d: path });
    }
    const words = `${this.title}: ${series.filter(one => one.name).map(captionOf ?? lastOf).join('; ')}`;
    this.caption.textContent = words;
    this.svg.setAttribute('aria-label', words);
  }
}

function lastOf(one) {
  const point = one.points.findLast(candidate => candidate[1] !== null);
  return point ? `${one.name} ${figure(point[1])} at step ${point[0]}` : `${one.name} has none yet`;
}

function range(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
  return [low, high];
}

// Of many points the lowest and highest of each stretch, so that a spike stays a spike.
function thin(points) {
  const most = 800;
  if (points.length <= most) return points;
  const stretch = Math.ceil(points.length / (most / 2));
  const kept = [];
  for (let i = 0; i < points.length; i += stretch) {
    const part = points.slice(i, i + stretch);
    const real = part.filter(point => point[1] !== null);
    if (real.length < part.length) kept.push([part[0][0], null]);
    if (real.length === 0) continue;
    const low = real.reduce((a, b) => b[1] < a[1] ? b : a);
    const high = real.reduce((a, b) => b[1] > a[1] ? b : a);
    kept.push(...(low[0] <= high[0] ? [low, high] : [high, low]));
  }
  return kept;
}

// Exponential moving average; each value's weight is that to the power of its distance.
function smooth(values, weight) {
  let sum = 0;
  let weights = 0;
  return values.map(value => {
    if (value === null) return null;
    sum = sum * weight + value;
    weights = weights * weight + 1;
    return sum / weights;
  });
}
