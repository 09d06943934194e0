"""The page: HTML with its style and script, nothing loaded from anywhere.

The script writes text only, never HTML: paths of requests are what clients send.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape

__all__ = ["CONTENT_SECURITY_POLICY", "page_of"]

_STYLE = """
:root { color-scheme: light dark; --line: #d8dee4; --soft: #f4f6f8; --text: #1b1f24;
  --faint: #59636e; --link: #0b57c9; --page: #fff; --good: #0b6e4f; --wait: #8a5200;
  --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --line: #343b44; --soft: #1c2128; --text: #e6edf3;
  --faint: #9aa4af; --link: #79b8ff; --page: #13171c; --good: #4cc38a; --wait: #e3a64b;
  --bad: #ff8f87; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 1.25rem 1rem 3rem; background: var(--page);
  color: var(--text); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
header { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline; }
h1 { font-size: 1.5rem; line-height: 1.2; margin: 0; }
h2 { font-size: 1.1rem; margin: 1.75rem 0 .5rem; }
.faint { color: var(--faint); font-size: .875rem; }
.pill { border: 1px solid currentColor; border-radius: 999px; padding: 0 .6rem; font-weight: 600;
  font-size: .875rem; }
.good { color: var(--good); } .wait { color: var(--wait); } .bad { color: var(--bad); }
.card { border: 1px solid var(--line); border-radius: 8px; padding: .75rem; margin: .5rem 0; }
.card > header { margin-bottom: .5rem; } .card b { font-weight: 600; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(7rem, 1fr)); gap: .5rem;
  align-items: start; }
.facts div { display: flex; flex-direction: column-reverse; }
.facts dt { color: var(--faint); font-size: .8rem; } .facts dd { margin: 0; font-size: 1.15rem;
  font-variant-numeric: tabular-nums; }
dl { margin: 0; } dl.small { margin-top: .6rem; } dl.small dd { font-size: .95rem; }
progress { width: 100%; height: .75rem; accent-color: var(--good); }
ul { list-style: none; margin: 0; padding: 0; } ul ul { border-left: 2px solid var(--line);
  margin-left: .25rem; padding-left: .75rem; }
.guard { background: var(--soft); border-radius: 6px; padding: .5rem .75rem; margin: .4rem 0; }
.guard p, .card > p { margin: 0; } .guard ul { border: 0; margin: 0; padding: 0; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%;
  font-variant-numeric: tabular-nums; }
th { color: var(--faint); font-size: .8rem; font-weight: 400; text-align: right; }
td { text-align: right; } th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th.left, td.left { text-align: left; }
p:empty { display: none; } #bar { margin-bottom: .5rem; }
code, .guard li { font: .85rem/1.5 ui-monospace, monospace; }
button { font: inherit; padding: .3rem .8rem; border-radius: 6px; border: 1px solid var(--line);
  background: var(--soft); color: var(--text); cursor: pointer; }
button:focus-visible, a:focus-visible, input:focus-visible { outline: 2px solid var(--link);
  outline-offset: 2px; }
.right { margin-left: auto; } a { color: var(--link); } [hidden] { display: none !important; }
footer { margin-top: 2rem; } label { cursor: pointer; }
"""

_SCRIPT = """
'use strict';
const $ = id => document.getElementById(id);
let shown = null, received = 0, source = null;

function make(tag, text, kind) {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}
function seconds(value) {
  if (value < 60) return value.toFixed(1) + ' s';
  const whole = Math.floor(value), hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole % 3600 / 60);
  return hours ? hours + ' h ' + minutes + ' min' : minutes + ' min ' + whole % 60 + ' s';
}
// What grows (1), falls (-1) or stays (0) until the next event.
function ticking(value, way, tag) {
  const made = make(tag || 'span');
  made.dataset.value = value; made.dataset.way = way;
  return made;
}
function tick() {
  const passed = (performance.now() - received) / 1000;
  for (const each of document.querySelectorAll('[data-value]')) {
    const now = Number(each.dataset.value) + Number(each.dataset.way) * passed;
    each.textContent = seconds(Math.max(0, now));
  }
}
function facts(rows, kind) {
  const list = make('dl', null, 'facts ' + (kind || ''));
  for (const [name, value] of rows) {
    if (value === null || value === undefined) continue;
    const row = make('div'), cell = make('dd');
    cell.append(value);
    row.append(make('dt', name), cell);
    list.append(row);
  }
  return list;
}
function guard(entry, way) {
  const box = make('div', null, 'guard'), head = make('p');
  const site = make('code', entry.site.split('/').slice(-3).join('/'));
  site.title = entry.site;
  head.append(make('b', entry.count + ' \\u00d7 '), site, ' oldest ');
  head.append(ticking(entry.oldest_age, way));
  box.append(head);
  if (entry.where) {
    const where = make('p', 'waits at ', 'faint');
    where.append(make('code', entry.where));
    box.append(where);
  }
  const counts = new Map();
  for (const label of entry.labels) counts.set(label, (counts.get(label) || 0) + 1);
  const list = make('ul');
  for (const [label, count] of counts)
    list.append(make('li', count > 1 ? label + ' (' + count + ' times)' : label));
  const rest = entry.count - entry.labels.length;
  if (entry.labels.length && rest > 0) list.append(make('li', 'and ' + rest + ' more', 'faint'));
  box.append(list);
  return box;
}
function branch(node) {
  const item = make('li'), head = make('p');
  head.append(make('b', node.name || 'swansong'), ' ');
  if (node.is_complete) head.append(make('span', 'complete', 'faint'));
  else if (node.stopped_for === null) head.append(make('span', 'running', 'good'));
  else {
    const stopping = make('span', 'stopping for ', 'wait');
    stopping.append(ticking(node.stopped_for, 1));
    head.append(stopping);
  }
  item.append(head, ...node.guards.map(each => guard(each, 1)));
  if (node.below.length) {
    const list = make('ul');
    list.append(...node.below.map(branch));
    item.append(list);
  }
  return item;
}
function server(each) {
  const card = make('section', null, 'card'), head = make('header');
  const tone = each.state === 'running' ? 'good' : each.state.includes('over') ? 'faint' : 'wait';
  head.append(make('b', each.name), make('span', each.state, tone));
  const counts = each.connections, limits = each.limits;
  const long = value => value === null ? 'no limit' : seconds(value);
  card.append(head, facts([
    ['connections', counts.open + ' / ' + limits.max_connections], ['busy', counts.busy],
    ['idle', counts.idle], ['closing', counts.closing], ['to be accepted', counts.queued],
    ['accepted', counts.accepted], ['refused', counts.refused], ['evicted', counts.evicted],
  ]), facts([
    ['drain delay', long(limits.drain_delay)], ['drain timeout', long(limits.drain_timeout)],
    ['keep-alive grace', long(limits.keepalive_grace)],
    ['clean-up timeout', long(limits.cleanup_timeout)],
  ], 'small'));
  return card;
}
function rows(id, heads, found) {
  const head = make('tr');
  for (const name of heads) head.append(make('th', name, name === 'state' ? 'left' : ''));
  $(id).replaceChildren(head, ...found);
}
function worker(each) {
  const row = make('tr'), state = make('td', null, 'left');
  const tone = each.stage === 'ready' ? 'good' : 'wait';
  state.append(make('span', each.stage, tone));
  const found = each.stage === 'draining' ? each.drain : null;
  if (found) {
    state.append(': ' + found.finished + ' finished, ' + found.left + ' left');
    if (found.remaining !== null) state.append(', cut in ', ticking(found.remaining, -1));
  }
  for (const why of each.unready) state.append(make('span', ' not ready: ' + why, 'wait'));
  if (each.is_silent) {
    const silent = make('span', ' silent for ', 'bad');
    silent.append(ticking(each.silent, 1));
    state.append(silent);
  } else if (!each.answers) state.append(make('span', ' does not answer', 'bad'));
  const cells = [each.slot, each.pid, each.generation, ticking(each.age, 1), each.connections,
    each.guards, each.requests, Math.round(each.rss / 1048576),
    (each.lag * 1000).toFixed(1)].map(value => {
    const cell = make('td');
    cell.append(value);
    return cell;
  });
  cells.splice(2, 0, state);
  row.append(...cells);
  return row;
}
function ended(each) {
  const card = make('section', null, 'card'), head = make('p');
  head.append(make('b', 'worker ' + each.pid + ' of slot ' + each.slot), ' ended ',
    ticking(shown.now - each.ended, 1), ' ago, ');
  head.append(make('span', each.how, each.how === 'exit status 0' ? '' : 'bad'));
  if (each.reason) head.append(': ' + each.reason);
  if (each.finished !== null)
    head.append('; its drain took ' + seconds(each.duration) + ', ' + each.finished + ' finished');
  card.append(head, ...each.cut.map(entry => guard(entry, 0)));
  return card;
}
function workers() {
  $('many').hidden = !shown.workers;
  if (!shown.workers) return;
  const doing = shown.doing ? ', ' + shown.doing + ' in progress' : '';
  $('doing').textContent = 'rolls: ' + shown.generation + ', restarts of workers that had ended '
    + 'by themselves: ' + shown.restarts + doing;
  rows('workers', ['slot', 'pid', 'state', 'generation', 'age', 'connections', 'in progress',
    'requests', 'MiB', 'lag, ms'], shown.workers.map(worker));
  $('past').hidden = !shown.ended.length;
  $('ended').replaceChildren(...shown.ended.map(ended));
}
function drain(found) {
  $('draining').hidden = !found;
  if (!found) return;
  const over = shown.state === 'complete';
  const cut = found.cut.reduce((sum, each) => sum + each.count, 0);
  const all = found.finished + found.left + cut;
  $('bar').max = Math.max(1, all); $('bar').value = all ? found.finished + cut : 1;
  $('bar').setAttribute('aria-label', found.finished + ' of ' + all + ' finished');
  const left = found.remaining === null ? (over ? null : 'no limit')
    : ticking(found.remaining, -1);
  $('figures').replaceChildren(facts([
    ['finished', found.finished], ['left', found.left], ['cut off', cut],
    ['until the cut', left], ['lasting', ticking(found.duration, over ? 0 : 1)],
    ['reason', found.reason],
  ]));
  const waits = found.waits_for.length ? 'Waits for ' + found.waits_for.join(', ') : '';
  $('waits').textContent = waits;
  $('cut').hidden = !cut;
  $('stragglers').replaceChildren(...found.cut.map(each => guard(each, 0)));
}
function show() {
  const tone = { running: 'good', complete: 'faint' }[shown.state] || 'wait';
  $('state').textContent = shown.state;
  $('state').className = 'pill ' + tone;
  $('facts').textContent = 'version ' + shown.version + ', pid ' + shown.pid + ', up for ';
  $('facts').append(ticking(shown.now - shown.started, 1));
  $('unready').textContent = shown.unready.length ? 'not ready: ' + shown.unready.join(', ') : '';
  $('servers').replaceChildren(...shown.servers.map(server));
  workers();
  drain(shown.drain);
  $('tree').replaceChildren(branch(shown.tree));
  $('stacks').hidden = !shown.has_stacks;
  for (const name of ['roll', 'drain', 'cancel'])
    $('do-' + name).hidden = !shown.actions.includes(name) || shown.state === 'complete'
      || (name !== 'cancel' && shown.state !== 'running');
  tick();
}
function connect() {
  if (source) source.close();
  source = new EventSource('events' + ($('wanted').checked ? '?stacks=1' : ''));
  source.addEventListener('status', event => {
    shown = JSON.parse(event.data); received = performance.now();
    show();
  });
  source.onopen = () => { $('lost').hidden = true; };
  source.onerror = () => {
    $('lost').hidden = false;
    $('lost').textContent = shown && shown.state === 'complete' ? 'The service has ended.'
      : 'There is no connection: what is shown is the last that was seen.';
    // A server that refuses, or is gone, is asked again; a browser asks only what has broken off.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 2000);
  };
}
async function act(name) {
  if (!confirm('Really ' + name + '?')) return;
  const response = await fetch(name, { method: 'POST' });
  if (!response.ok) alert(name + ': ' + response.status + ' ' + await response.text());
}
$('do-roll').onclick = () => act('roll');
$('do-drain').onclick = () => act('drain');
$('do-cancel').onclick = () => act('cancel');
$('wanted').onchange = connect;
setInterval(tick, 100);
connect();
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>TITLE</title>
<style>STYLE</style>
</head>
<body>
<header>
<h1>TITLE</h1>
<span id="state" class="pill faint" role="status">connecting</span>
<span id="facts" class="faint"></span>
<span class="right">
<button id="do-roll" type="button" hidden>Roll</button>
<button id="do-drain" type="button" hidden>Drain</button>
<button id="do-cancel" type="button" class="bad" hidden>Cancel</button>
</span>
</header>
<p id="lost" class="bad" hidden></p>
<p id="unready" class="faint"></p>
<section id="draining" hidden>
<h2>The drain</h2>
<div class="card"><progress id="bar"></progress><div id="figures"></div>
<p id="waits" class="wait"></p></div>
<div id="cut" hidden><h2>What was cut off</h2><div id="stragglers"></div></div>
</section>
<section id="many" hidden>
<h2>Workers</h2>
<div class="wide"><table id="workers"></table></div>
<p id="doing" class="faint"></p>
</section>
<h2>Servers</h2>
<div id="servers"></div>
<h2>What is in progress</h2>
<label id="stacks" class="faint" hidden><input id="wanted" type="checkbox"> with the line that each
waits at</label>
<ul id="tree"></ul>
<section id="past" hidden>
<h2>Workers that have ended</h2>
<div id="ended"></div>
</section>
<footer class="faint"><a href="status">JSON</a></footer>
<script>SCRIPT</script>
</body>
</html>
"""


def _hashed(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src {_hashed(_STYLE)}; script-src {_hashed(_SCRIPT)}; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page_of(title: str) -> bytes:
    """Return the page of a service with this name."""
    text = _PAGE.replace("TITLE", escape(title)).replace("STYLE", _STYLE)
    return text.replace("SCRIPT", _SCRIPT).encode()
