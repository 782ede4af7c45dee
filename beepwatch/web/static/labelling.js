// The labelling page: a group of clips at a time, labelled by key, mouse or thumb.

import { DISTINCT, counted, hueOf, made, newCard, pitches, segments } from "/static/drawing.js";
import { Player } from "/static/sound.js";
import { Saver } from "/static/saving.js";

const HOVER_MS = 90;
const TOAST_MS = 4500;

const at = (id) => document.getElementById(id);
const session = await fetch("/session").then((answer) => answer.json());
if (session.error) {
  at("title").textContent = session.error;
  throw new Error(session.error);
}
const { names, groups } = session;
const labels = new Map(Object.entries(session.labels));
const groupOf = new Map(groups.flatMap((group, number) => group.map((clip) => [clip.id, number])));
const total = groupOf.size;

let group = 0;
let here = 0; // the clip of the group that was gone to last
let anchor = 0; // where the run that ends here began
const [LAST_LABEL, DONE] = ["last label", "done"].map((what) => `${session.key} ${what}`);
let lastLabel = sessionStorage.getItem(LAST_LABEL) ?? "";
if (!names.includes(lastLabel)) lastLabel = "";
const done = JSON.parse(sessionStorage.getItem(DONE) ?? "[]") // what undo takes back, the last at the end
  .filter(({ changes }) => changes.every(({ clip }) => groupOf.has(clip)));

const labelOf = (clip) => labels.get(clip.id) ?? "";
const clips = () => groups[group];
const run = () => clips().slice(Math.min(anchor, here), Math.max(anchor, here) + 1);
const unlabelled = (number) => groups[number].filter((clip) => !labelOf(clip));

const player = new Player((clip, fraction) => {
  const card = at(`clip-${clip}`);
  card?.classList.toggle("playing", fraction !== null);
  card?.style.setProperty("--played", `${100 * (fraction ?? 0)}%`);
});
const saver = new Saver(onRefused, onStands);

// What is shown

function setLabel(id, label) {
  if (label) labels.set(id, label);
  else labels.delete(id);
}

function drawCard(clip) {
  const card = at(`clip-${clip.id}`);
  if (!card) return;
  const label = labelOf(clip);
  card.classList.remove(...[...card.classList].filter((name) => /^l\d$/.test(name)));
  card.querySelector(".badge").hidden = !label;
  card.querySelector(".badge").textContent = label;
  if (label) {
    card.dataset.label = label;
    card.classList.add(hueOf(names, label));
  } else {
    delete card.dataset.label;
  }
  card.setAttribute("aria-label", `${clip.path}, ${label || "no label"}`);
}

function listenTo(card, clip) {
  let hovering = 0;
  const number = () => clips().indexOf(clip);
  card.addEventListener("pointerenter", (event) => {
    if (event.pointerType === "mouse") hovering = setTimeout(() => hear(clip), HOVER_MS);
  });
  card.addEventListener("pointerleave", (event) => {
    clearTimeout(hovering);
    if (event.pointerType === "mouse") player.stop();
  });
  card.addEventListener("click", (event) => {
    clearTimeout(hovering);
    goTo(number(), { extend: event.shiftKey });
  });
}

function drawGroup() {
  at("grid").replaceChildren(
    ...clips().map((clip) => {
      const card = newCard(clip);
      listenTo(card, clip);
      return card;
    }),
  );
  clips().forEach(drawCard);
  at("title").textContent = `Group ${group + 1} of ${groups.length}`;
  const scores = clips().map((clip) => clip.score);
  const sure = `model ${Math.min(...scores).toFixed(2)} to ${Math.max(...scores).toFixed(2)}`;
  at("about").textContent = [counted(clips().length, "clip"), sure, pitches(clips())].filter(Boolean).join(" · ");
  at("main").scrollTop = 0;
}

function drawRun() {
  const chosen = new Set(run());
  clips().forEach((clip, number) => {
    const card = at(`clip-${clip.id}`);
    card.setAttribute("aria-selected", chosen.has(clip));
    card.classList.toggle("here", number === here);
  });
  const card = at(`clip-${clips()[here].id}`);
  at("grid").setAttribute("aria-activedescendant", card.id);
  card.scrollIntoView({ block: "nearest" });
  const shared = new Set(run().map(labelOf));
  for (const button of at("names").children) {
    button.setAttribute("aria-pressed", shared.size === 1 && shared.has(button.dataset.name));
  }
}

function drawNumbers() {
  at("bar").replaceChildren(...segments(names, groups.flat().map(labelOf)));
  at("bar").setAttribute("aria-valuemax", total);
  at("bar").setAttribute("aria-valuenow", labels.size);
  at("count").textContent = `${labels.size.toLocaleString("en")} of ${total.toLocaleString("en")}`;
  groups.forEach((_, number) => drawGroupButton(number));
  const left = unlabelled(group).length;
  at("rest").disabled = !lastLabel || left === 0;
  at("rest").className = lastLabel ? hueOf(names, lastLabel) : "";
  at("rest-text").textContent = lastLabel && left ? `Other ${left}: ${lastLabel}` : "Rest of the group";
  at("undo").disabled = done.length === 0;
}

function drawGroupButton(number) {
  const button = at("groups").children[number].firstChild;
  const left = unlabelled(number).length;
  button.classList.toggle("done", left === 0);
  const begun = left > 0 && left < groups[number].length;
  button.querySelector(".left").textContent = begun ? `${left} left` : "";
  button.querySelector(".mini").replaceChildren(...segments(names, groups[number].map(labelOf)));
  if (number === group) button.setAttribute("aria-current", "true");
  else button.removeAttribute("aria-current");
}

let toastEnds = 0;
function toast(text) {
  at("toast").textContent = text;
  at("toast").hidden = false;
  clearTimeout(toastEnds);
  toastEnds = setTimeout(() => (at("toast").hidden = true), TOAST_MS);
}

// Going about

function goTo(number, { extend = false, sound = true } = {}) {
  here = Math.max(0, Math.min(number, clips().length - 1));
  if (!extend) anchor = here;
  drawRun();
  if (sound) hear(clips()[here]);
  else player.stop();
  const ahead = clips()[here + 1];
  if (ahead && player.on) player.fetched(ahead.id).catch(() => {});
}

function openGroup(number, { sound = true, clip = null } = {}) {
  group = (number + groups.length) % groups.length;
  drawGroup();
  drawNumbers();
  at("groups").children[group].scrollIntoView({ block: "center", inline: "center" });
  const first = clips().findIndex((one) => !labelOf(one));
  goTo(clip ? clips().findIndex((one) => one.id === clip) : Math.max(first, 0), { sound });
}

async function hear(clip) {
  const allowed = await player.play(clip.id).catch(() => toast(`${clip.path} cannot be played.`) ?? true);
  if (!allowed) toast("Press a key or click once: then this browser lets the clips be heard.");
}

function cardsInARow() {
  const cards = [...at("grid").children];
  const below = cards.findIndex((card) => card.offsetTop > cards[0].offsetTop);
  return below < 0 ? cards.length : below;
}

// After a label: the next clip without one, here or in the groups that follow.
function goOn(after, corrected) {
  if (corrected) {
    goTo(after + 1);
    return;
  }
  const open = clips().map((clip, number) => (labelOf(clip) ? -1 : number)).filter((number) => number >= 0);
  if (open.length > 0) {
    goTo(open.find((number) => number > after) ?? open[0]);
    return;
  }
  for (let step = 1; step < groups.length; step += 1) {
    const number = (group + step) % groups.length;
    if (unlabelled(number).length > 0) {
      openGroup(number);
      return;
    }
  }
  goTo(after, { sound: false });
  if (labels.size === total) toast(`That was the last one: all ${counted(total, "clip")} have a label.`);
}

// Labels

function change(chosen, label) {
  const changes = chosen
    .filter((clip) => labelOf(clip) !== label)
    .map((clip) => ({ clip: clip.id, seen: labelOf(clip), label }));
  if (changes.length > 0) {
    remember(changes);
    apply(changes);
  }
}

function remember(changes) {
  done.push({ changes, clip: clips()[here].id });
  keepDone();
}

function keepDone() {
  while (done.length > 300) done.shift();
  sessionStorage.setItem(DONE, JSON.stringify(done));
}

function apply(changes) {
  for (const { clip, label } of changes) setLabel(clip, label);
  saver.push(changes);
  const changed = new Set(changes.map(({ clip }) => clip));
  clips().filter((clip) => changed.has(clip.id)).forEach(drawCard);
}

function say(label) {
  const chosen = run();
  const corrected = chosen.every(labelOf);
  const end = Math.max(anchor, here);
  if (label) {
    lastLabel = label;
    sessionStorage.setItem(LAST_LABEL, label);
  }
  change(chosen, label);
  drawNumbers();
  if (label) goOn(end, corrected);
  else goTo(here, { sound: false });
}

function sayOfTheRest() {
  const rest = unlabelled(group);
  if (!lastLabel) toast("Label one clip first: r gives the rest of its group the same label.");
  else if (rest.length > 0) {
    change(rest, lastLabel);
    drawNumbers();
    goOn(here, false);
  } else toast("Every clip of this group has a label.");
}

function undo() {
  const last = done.pop();
  keepDone();
  if (!last) {
    toast("There is nothing to undo.");
    return;
  }
  const back = last.changes
    .filter(({ clip, label }) => (labels.get(clip) ?? "") === label)
    .map(({ clip, seen, label }) => ({ clip, seen: label, label: seen }));
  for (const { clip, label } of back) setLabel(clip, label);
  saver.push(back);
  const number = groupOf.get(last.clip);
  if (number !== undefined) openGroup(number, { sound: false, clip: last.clip });
  const other = last.changes.length - back.length;
  if (other > 0) toast(`${counted(other, "clip")} got another label meanwhile, and kept it.`);
}

function onRefused(refused, gone) {
  for (const clip of gone) setLabel(clip, "");
  if (gone.length > 0) toast(`${counted(gone.length, "clip")} cannot be labelled any more. Load the page again.`);
  for (const [clip, now] of Object.entries(refused)) {
    setLabel(clip, now);
    toast(`Another page was first: that clip is ${now || "without a label"}. Label it again to change it.`);
  }
  if (gone.length + Object.keys(refused).length > 0) redraw();
}

function onStands(how, why = "") {
  const words = { saved: "Saved", waiting: "Saving…", failed: "Not saved" };
  at("saved").textContent = words[how];
  at("saved").className = `saved ${how}`;
  at("saved").title = why;
  if (how === "failed") toast(`Not saved yet, trying again: ${why}`);
}

function redraw() {
  clips().forEach(drawCard);
  drawNumbers();
  drawRun();
}

// What others said, and what was said here before the connection broke

new EventSource("/changes").addEventListener("message", (event) => {
  const message = JSON.parse(event.data);
  const news = message.changed ?? message.all;
  if (message.all) {
    for (const id of [...labels.keys()]) if (!(id in news) && !saver.awaits(id)) labels.delete(id);
  }
  for (const [id, label] of Object.entries(news)) {
    if (groupOf.has(id) && !saver.awaits(id)) setLabel(id, label);
  }
  redraw();
});

// Keys and buttons

const arrows = {
  ArrowLeft: () => here - 1,
  ArrowRight: () => here + 1,
  ArrowUp: () => (here >= cardsInARow() ? here - cardsInARow() : here),
  ArrowDown: () => (here + cardsInARow() < clips().length ? here + cardsInARow() : clips().length - 1),
  Home: () => 0,
  End: () => clips().length - 1,
};
const toggleSound = () => {
  player.on = !player.on;
  player.stop();
  localStorage.setItem("sound", player.on ? "on" : "off");
  drawSound();
};
const keys = {
  r: sayOfTheRest,
  u: undo,
  n: () => openGroup(group + 1),
  PageDown: () => openGroup(group + 1),
  p: () => openGroup(group - 1),
  PageUp: () => openGroup(group - 1),
  m: toggleSound,
  " ": () => (player.playing ? player.stop() : hear(clips()[here])),
  Backspace: () => say(""),
  Delete: () => say(""),
  "?": () => at("help").showModal(),
};

function drawSound() {
  at("sound").setAttribute("aria-pressed", player.on);
  at("sound").textContent = player.on ? "Sound on" : "Sound off";
}

// A button that was clicked gives the keyboard back to the clips: Space is to play, not to press.
document.addEventListener("click", (event) => {
  if (event.detail > 0 && !at("help").open) at("grid").focus({ preventScroll: true });
});

document.addEventListener("keydown", (event) => {
  if (at("help").open) return;
  const action = actionFor(event);
  if (!action) return;
  event.preventDefault();
  action();
});

function actionFor(event) {
  if (event.altKey) return null;
  if (event.ctrlKey || event.metaKey) {
    if (event.shiftKey) return null;
    return { z: undo, a: chooseAll }[event.key.toLowerCase()] ?? null;
  }
  if (event.key in arrows) return () => goTo(arrows[event.key](), { extend: event.shiftKey });
  if (event.key === " " && event.target.matches("button")) return null; // it presses the button
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(event.code)?.[1]; // wherever a keyboard has it
  if (digit === "0") return () => say("");
  if (digit) return names[digit - 1] ? () => say(names[digit - 1]) : null;
  return keys[event.key.length === 1 ? event.key.toLowerCase() : event.key] ?? null;
}

function chooseAll() {
  anchor = 0;
  here = clips().length - 1;
  drawRun();
}

function drawNames() {
  names.slice(0, DISTINCT).forEach((name, number) => {
    const button = made("button", hueOf(names, name));
    button.dataset.name = name;
    button.append(made("kbd", "", String(number + 1)), made("span", "", name));
    button.addEventListener("click", () => say(name));
    at("names").append(button);
  });
}

function drawGroupButtons() {
  groups.forEach((members, number) => {
    const button = made("button");
    button.append(
      made("b", "", String(number + 1)),
      made("small", "", String(members.length)),
      made("small", "left"),
      made("span", "mini"),
    );
    button.setAttribute("aria-label", `Group ${number + 1}, ${counted(members.length, "clip")}`);
    button.addEventListener("click", () => openGroup(number));
    const item = made("li");
    item.append(button);
    at("groups").append(item);
  });
}

for (const [id, action] of [
  ["rest", sayOfTheRest],
  ["clear", () => say("")],
  ["undo", undo],
  ["previous", keys.p],
  ["next", keys.n],
  ["sound", toggleSound],
  ["help-open", keys["?"]],
]) {
  at(id).addEventListener("click", action);
}

player.on = localStorage.getItem("sound") !== "off";
at("directory").textContent = session.directory;
document.title = `${session.directory} · labelling`;
drawSound();
drawNames();
drawGroupButtons();
const first = groups.findIndex((_, number) => unlabelled(number).length > 0);
openGroup(Math.max(first, 0), { sound: false });
onStands("saved");
if (first < 0) toast(`All ${counted(total, "clip")} have a label.`);
at("grid").focus();
document.body.dataset.ready = "yes";
