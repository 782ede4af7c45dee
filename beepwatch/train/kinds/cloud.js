// Points in space, turned by hand. Needs nothing but the canvas and the data beside it.
"use strict";
{
  const canvas = document.getElementById("cloud");
  const said = document.getElementById("cloud-said");
  const legend = document.getElementById("cloud-legend");
  const data = JSON.parse(document.getElementById("cloud-data").textContent);
  const context = canvas.getContext("2d");
  const hidden = new Set();
  const view = { turn: 0.6, tilt: 0.4, zoom: 1 };
  const reach = Math.max(1e-9, ...data.points.map(([x, y, z]) => Math.hypot(x, y, z)));
  let shown = []; // what is drawn now, [left, top, nearness, number of the point]

  // Where a place in space is on the canvas, and how near: -1 far to 1 near.
  function projected([x, y, z]) {
    const [sin, cos] = [Math.sin(view.turn), Math.cos(view.turn)];
    const [right, deep] = [(x * cos - z * sin) / reach, (x * sin + z * cos) / reach];
    const height = y / reach;
    const up = height * Math.cos(view.tilt) - deep * Math.sin(view.tilt);
    const near = height * Math.sin(view.tilt) + deep * Math.cos(view.tilt);
    const scale = 0.42 * Math.min(canvas.width, canvas.height) * view.zoom * (1 + 0.15 * near);
    return [canvas.width / 2 + right * scale, canvas.height / 2 - up * scale, near];
  }

  function line(from, to) {
    context.beginPath();
    context.moveTo(from[0], from[1]);
    context.lineTo(to[0], to[1]);
    context.stroke();
  }

  function draw() {
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.strokeStyle = "#bbb";
    context.fillStyle = "#666";
    context.font = `${canvas.width / 60}px sans-serif`;
    for (const [axis, name] of ["component 1", "component 2", "component 3"].entries()) {
      const end = [0, 0, 0];
      end[axis] = reach;
      line(projected(end.map((each) => -each)), projected(end));
      context.fillText(name, ...projected(end).slice(0, 2));
    }
    shown = data.points
      .map((point, number) => [...projected(point), number])
      .filter(([, , , number]) => !hidden.has(data.clusters[number]))
      .sort((a, b) => a[2] - b[2]);
    for (const [left, top, near, number] of shown) {
      context.beginPath();
      context.globalAlpha = 0.55 + 0.4 * Math.max(0, near);
      context.fillStyle = data.colours[data.clusters[number] - 1];
      context.arc(left, top, (canvas.width / 220) * (1 + 0.4 * near), 0, 2 * Math.PI);
      context.fill();
    }
    context.globalAlpha = 1;
    context.strokeStyle = "#000";
    for (const [number, centre] of data.centres.entries()) {
      if (hidden.has(number + 1)) continue;
      const [left, top] = projected(centre);
      const arm = canvas.width / 130;
      line([left - arm, top - arm], [left + arm, top + arm]);
      line([left - arm, top + arm], [left + arm, top - arm]);
    }
  }

  function pointAt(event) {
    const box = canvas.getBoundingClientRect();
    const scale = canvas.width / box.width;
    const [left, top] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    const near = shown.filter(([x, y]) => Math.hypot(x - left, y - top) < 9 * scale);
    return near.length ? near[near.length - 1][3] : -1;
  }

  canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons & 1) {
      view.turn += event.movementX / 150;
      view.tilt = Math.max(-1.6, Math.min(1.6, view.tilt + event.movementY / 150));
      draw();
      return;
    }
    const number = pointAt(event);
    said.textContent = number < 0 ? " " : `${data.titles[data.clusters[number] - 1]}: ` +
      `${data.paths[number]}, ${data.distances[number].toFixed(2)} from the centre`;
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    view.zoom = Math.max(0.3, Math.min(20, view.zoom * Math.exp(-event.deltaY / 600)));
    draw();
  }, { passive: false });
  const keys = { ArrowLeft: -0.1, ArrowRight: 0.1, ArrowUp: -0.1, ArrowDown: 0.1 };
  canvas.addEventListener("keydown", (event) => {
    if (!(event.key in keys)) return;
    event.preventDefault();
    view[event.key.endsWith("t") ? "turn" : "tilt"] += keys[event.key];
    draw();
  });

  for (const [place, title] of data.titles.entries()) {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = true;
    box.onchange = () => {
      hidden[box.checked ? "delete" : "add"](place + 1);
      draw();
    };
    label.style.color = data.colours[place];
    label.append(box, ` ${title} `);
    legend.append(label);
  }
  draw();
}
