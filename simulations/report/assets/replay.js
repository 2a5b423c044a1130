/* Replays: unpacked when they are looked at, thinned for the time and the pixels that there are. */

const opened = new Map();

function open(index) {
  if (!opened.has(index)) opened.set(index, unpack(index));
  return opened.get(index);
}

/* Times in ms, every series as Float64Array with NaN for "nothing". */
async function unpack(index) {
  const bytes = Uint8Array.from(atob($(`case-${index}`).textContent), (sign) => sign.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const raw = await new Response(stream).json();
  const steps = raw.kept || Array.from({ length: raw.steps }, (_, step) => step);
  const series = { t: Float64Array.from(steps, (step) => MS * (raw.start_s + step * raw.step_s)) };
  for (const [name, values] of Object.entries(raw.series)) {
    series[name] = Float64Array.from(values, (value) => (value === null ? NaN : value));
  }
  series.objective_s = new Float64Array(steps.length).fill(page.cases[index].objective_s);
  return { ...raw, series, from: MS * raw.start_s, to: MS * (raw.start_s + raw.steps * raw.step_s) };
}

function firstAt(sorted, value) {
  let low = 0, high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1; else high = middle;
  }
  return low;
}

/* Where the smallest and the largest value of a stretch stand, in order; NaN is neither. */
function extremes(values, start, end) {
  let low = start, high = start;
  for (let index = start + 1; index < end; index++) {
    if (!(values[index] >= values[low])) low = index;
    if (!(values[index] <= values[high])) high = index;
  }
  return low === high ? [low] : [Math.min(low, high), Math.max(low, high)];
}

/* Indices between two times; where there are more than pixels, the extremes of `key` in each stretch. */
function thin(series, key, from, to, pixels) {
  const first = Math.max(0, firstAt(series.t, from) - 1);
  const last = Math.min(series.t.length, firstAt(series.t, to) + 1);
  const stretch = Math.floor((last - first) / pixels);
  if (stretch <= 2) return Array.from({ length: last - first }, (_, index) => first + index);
  const kept = [];
  for (let start = first; start < last; start += stretch) {
    kept.push(...extremes(series[key], start, Math.min(start + stretch, last)));
  }
  return kept;
}

function pick(series, columns, indices) {
  return Object.fromEntries(columns.map((name) => [name, Float64Array.from(indices, (index) => series[name][index])]));
}

/* The middle of the misses of the hour with the most of them. */
function worstMoment({ t, missed_rps: missed }) {
  let sum = 0, moment = 0, most = 0, at = t[0];
  for (let first = 0, last = 0; last < t.length; last++) {
    sum += missed[last];
    moment += missed[last] * (t[last] - t[0]);
    for (; t[last] - t[first] > 3600 * MS; first++) {
      sum -= missed[first];
      moment -= missed[first] * (t[first] - t[0]);
    }
    if (sum > most + 1e-9) {
      most = sum;
      at = t[0] + moment / sum;
    }
  }
  return at;
}
