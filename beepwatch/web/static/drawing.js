// What the page is made of, without knowing what happens on it.

export const DISTINCT = 9; // hues in the stylesheet

export function made(tag, className = "", text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

export const counted = (count, what) =>
  `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;

export function hueOf(names, label) {
  const place = names.indexOf(label);
  return `l${place >= 0 && place < DISTINCT ? place + 1 : 0}`;
}

export function newCard(clip) {
  const card = made("li", "card");
  card.id = `clip-${clip.id}`;
  card.setAttribute("role", "option");
  card.title = `${clip.path} · ${clip.duration_s.toFixed(1)} s`;
  const picture = made("div", "picture");
  const image = new Image(240, 104);
  image.loading = "lazy";
  image.alt = "";
  image.onerror = () => image.classList.add("missing");
  image.src = `/clips/${clip.id}/picture.png`;
  picture.append(image);
  const line = made("div", "line");
  line.append(
    made("span", "badge"),
    made("span", "name", clip.path.split("/").at(-1)),
    made("span", "score", clip.score.toFixed(2)),
  );
  card.append(picture, line);
  return card;
}

// The middle half of the pitches, where they are close enough to mean something.
export function pitches(clips) {
  const found = clips.map((clip) => clip.pitch_hz).filter((hz) => hz > 0).sort((a, b) => a - b);
  const [low, high] = [0.25, 0.75].map((part) => found[Math.floor(part * found.length)]);
  if (!found.length || high > 1.1 * low) return "";
  return `around ${((low + high) / 2000).toFixed(1)} kHz`;
}

// Parts of a bar, one for each label that was given.
export function segments(names, labels) {
  const counts = new Map();
  for (const label of labels) {
    if (label) counts.set(label, (counts.get(label) ?? 0) + 1);
  }
  const inOrder = [...counts].sort(([a], [b]) => names.indexOf(a) - names.indexOf(b));
  return inOrder.map(([label, count]) => {
    const part = made("i", hueOf(names, label));
    part.style.width = `${(100 * count) / labels.length}%`;
    part.title = `${label}: ${count}`;
    return part;
  });
}
