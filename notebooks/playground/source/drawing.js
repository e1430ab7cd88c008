"use strict";
/** The pictures: triangle, curves, features, bars. Each is a function of the state and of what was computed from it. */
const Drawing = (() => {
  const HEIGHT = Math.sqrt(3) / 2;
  const TRIANGLE = { left: 36, bottom: 350, side: 368 };
  const CURVES = { left: 46, right: 352, top: 10, bottom: 200 };
  const REACH = 3; // of the plane of features, either way

  /** An SVG element with attributes and children. */
  function make(tag, attributes = {}, ...children) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }
  /** The layer of a picture under its handles. */
  function still(svg) {
    if (!svg.querySelector(".still")) svg.prepend(make("g", { class: "still", "aria-hidden": "true" }));
    return svg.querySelector(".still");
  }
  const points = (list) => list.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");

  /** A mark for each response that does not need colour: disc, square, triangle. */
  function mark(y, [cx, cy], size = 8) {
    if (y === 1) return make("rect", { x: cx - size, y: cy - size, width: 2 * size, height: 2 * size, class: "f1" });
    if (y === 2) return make("polygon", { points: points([[cx, cy - 1.2 * size], [cx + 1.15 * size, cy + 0.85 * size], [cx - 1.15 * size, cy + 0.85 * size]]), class: "f2" });
    return make("circle", { cx, cy, r: 1.1 * size, class: "f0" });
  }

  // ---------------------------------------------------------------- the triangle: chosen left, rejected right, other on top

  const toPlane = ([, rejected, other]) => [
    TRIANGLE.left + TRIANGLE.side * (rejected + other / 2),
    TRIANGLE.bottom - TRIANGLE.side * HEIGHT * other,
  ];

  /** The policy under a point of the picture, kept a little inside the triangle. */
  function fromPlane([x, y], least = 0.005) {
    const other = (TRIANGLE.bottom - y) / (TRIANGLE.side * HEIGHT), rejected = (x - TRIANGLE.left) / TRIANGLE.side - other / 2;
    const inside = [1 - rejected - other, rejected, other].map((value) => Math.max(value, least));
    return Worlds.normalized(inside).map((value) => Number(value.toFixed(4)));
  }

  function grid(parts) {
    const found = [];
    for (let i = 0; i < parts; i++)
      for (let j = 0; j < parts - i; j++) {
        const rejected = (i + 1 / 3) / parts, other = (j + 1 / 3) / parts;
        found.push([1 - rejected - other, rejected, other]);
      }
    return found;
  }

  /** The arrows that are drawn: ratios belong to one pair. */
  const fieldOf = (state) => (state.field === "ratios" && state.told !== "one" ? "flow" : state.field);

  /** Velocity of the probabilities at a policy, by the kind of arrows that is asked for. */
  function velocityAt(state, world, p) {
    const logP = p.map(Math.log), field = fieldOf(state);
    if (field === "flow") return PreferenceDynamics.velocity(world, logP);
    if (field === "replicator") {
      const w = PreferenceDynamics.replicatorFitness(world, logP), mean = w.reduce((total, value, y) => total + p[y] * value, 0);
      return w.map((value, y) => p[y] * (value - mean));
    }
    const ref = world.reference.map(Math.exp);
    const [up, down] = PreferenceDynamics.ratioField(p[0] / ref[0], p[1] / ref[1], state.beta);
    return [up * ref[0], down * ref[1], -up * ref[0] - down * ref[1]];
  }

  function arrows(state, world) {
    if (state.field === "none") return [];
    const places = grid(11), moves = places.map((p) => {
      const [x0, y0] = toPlane([0, 0, 0]), [x1, y1] = toPlane(velocityAt(state, world, p));
      return [x1 - x0, y1 - y0];
    });
    const sizes = moves.map(([dx, dy]) => Math.hypot(dx, dy));
    const middle = [...sizes].sort((a, b) => a - b)[Math.floor(sizes.length / 2)];
    if (!(middle > 1e-9)) return [];
    return places.flatMap((p, k) => {
      const size = sizes[k], length = 15 * Math.min(1.25, Math.log1p((3 * size) / middle) / Math.log(4));
      if (!Number.isFinite(length) || length < 1.5) return [];
      const [x, y] = toPlane(p), ux = moves[k][0] / size, uy = moves[k][1] / size;
      const tip = [x + (ux * length) / 2, y + (uy * length) / 2], tail = [x - (ux * length) / 2, y - (uy * length) / 2];
      const head = [tip, [tip[0] - 4.5 * ux + 2.4 * uy, tip[1] - 4.5 * uy - 2.4 * ux], [tip[0] - 4.5 * ux - 2.4 * uy, tip[1] - 4.5 * uy + 2.4 * ux]];
      return [make("line", { x1: tail[0], y1: tail[1], x2: tip[0] - 3 * ux, y2: tip[1] - 3 * uy, class: "arrow" }), make("polygon", { points: points(head), class: "arrow-head" })];
    });
  }

  function drawSimplex(svg, state, world, film, smooth) {
    const corners = [[1, 0, 0], [0, 1, 0], [0, 0, 1]].map(toPlane), names = Words.names(state);
    const path = film.logProbs.map((row) => toPlane(row.map(Math.exp)));
    const layer = still(svg);
    const label = (y, x, dy, anchor) => make("text", { x: corners[y][0] + x, y: corners[y][1] + dy, "text-anchor": anchor, class: `n${y}` }, Words.title(names[y]));
    layer.replaceChildren(
      make("polygon", { points: points(corners), class: "edge" }),
      ...(state.told === "one" ? [make("polyline", { points: points([toPlane([0.5, 0.5, 0]), corners[2]]), class: "dots" })] : []),
      ...arrows(state, world),
      ...(smooth ? [make("polyline", { points: points(smooth.map((row) => toPlane(row.map(Math.exp)))), class: "continuous" })] : []),
      make("polyline", { points: points(path.slice(state.at)), class: "future" }),
      make("polyline", { points: points(path.slice(0, state.at + 1)), class: "past" }),
      ...corners.map((corner, y) => mark(y, corner, 6)),
      label(0, -12, 26, "start"), label(1, 12, 26, "end"), label(2, 0, -14, "middle"),
    );
  }

  // ---------------------------------------------------------------- curves over the film

  const curveTitle = (state, film) => ({ logs: "log π (nats)", drives: film.drives ? "drive" : "speed of log π", margin: "margin" })[state.chart];

  function nice(low, high, count = 5) {
    const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
    const step = power * ([1, 2, 5, 10].find((m) => m * power >= raw) ?? 10), found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) found.push(k * step);
    return found;
  }

  function series(state, film) {
    if (state.chart === "logs") return [0, 1, 2].map((y) => film.logProbs.map((row) => row[y]));
    if (state.chart === "drives") return [0, 1, 2].map((y) => film.speeds.map((row) => row[y]));
    return [film.margins];
  }

  function drawCurves(svg, state, film) {
    const lines = series(state, film), names = state.chart === "margin" ? [state.told === "one" ? "margin" : "1 over 2"] : Words.names(state);
    const flat = lines.flat().filter(Number.isFinite);
    let [low, high] = [Math.min(...flat), Math.max(...flat)];
    if (state.chart === "logs") high = 0;
    else [low, high] = [Math.min(low, 0), Math.max(high, 0)];
    if (high - low < 1e-6) [low, high] = [low - 0.5, high + 0.5];
    const pad = 0.04 * (high - low);
    const toX = (step) => CURVES.left + ((CURVES.right - CURVES.left) * step) / state.steps;
    const toY = (value) => CURVES.bottom - ((CURVES.bottom - CURVES.top) * (value - low + pad)) / (high - low + 2 * pad);
    const ends = lines.map((line, k) => ({ k, y: toY(line[state.steps]) })).sort((a, b) => a.y - b.y);
    for (let k = 1; k < ends.length; k++) ends[k].y = Math.max(ends[k].y, ends[k - 1].y + 17);
    const over = Math.max(0, ends[ends.length - 1].y - CURVES.bottom);
    const one = state.chart === "margin";
    svg.replaceChildren(
      ...nice(low, high).flatMap((tick) => [
        make("line", { x1: CURVES.left, x2: CURVES.right, y1: toY(tick), y2: toY(tick), class: tick === 0 ? "axis" : "grid" }),
        make("text", { x: CURVES.left - 6, y: toY(tick) + 4, "text-anchor": "end", class: "tick" }, Words.number(tick, 4)),
      ]),
      ...nice(0, state.steps, 4).filter(Number.isInteger).map((tick) => make("text", { x: toX(tick), y: CURVES.bottom + 18, "text-anchor": "middle", class: "tick" }, String(tick))),
      make("text", { x: CURVES.right + 30, y: CURVES.bottom + 18, class: "tick" }, "steps"),
      ...lines.map((line, y) => make("polyline", { points: points(line.map((value, step) => [toX(step), toY(value)])), class: `curve ${one ? "plain" : `s${y}`}` })),
      make("line", { x1: toX(state.at), x2: toX(state.at), y1: CURVES.top, y2: CURVES.bottom, class: "cursor" }),
      ...lines.map((line, y) => (one ? make("circle", { cx: toX(state.at), cy: toY(line[state.at]), r: 5, class: "policy" }) : mark(y, [toX(state.at), toY(line[state.at])], 5))),
      ...ends.map(({ k, y }) => make("text", { x: CURVES.right + 8, y: y - over + 4, class: one ? "label" : `n${k}` }, names[k])),
    );
    svg.setAttribute("aria-label", `${Words.title(curveTitle(state, film))} over ${state.steps} steps. ${lines.map((line, y) => tell(names[y], line)).join(" ")}`);
  }

  /** A curve in words: where it begins, turns and ends. */
  function tell(name, line) {
    const last = line.length - 1, top = line.indexOf(Math.max(...line)), bottom = line.indexOf(Math.min(...line));
    const turns = [[top, "highest"], [bottom, "lowest"]].filter(([at]) => at > 0 && at < last).map(([at, word]) => `, ${word} ${Words.number(line[at])} at step ${at}`);
    return `${Words.title(name)}: from ${Words.number(line[0])}${turns.join("")}, to ${Words.number(line[last])}.`;
  }

  // ---------------------------------------------------------------- features

  const planeX = (value) => 220 + (value * 200) / REACH;
  const planeY = (value) => 150 - (value * 140) / REACH;
  const lineY = (y) => 36 + 48 * y;
  const place = (state, y) => [planeX(state.features[y][0]), state.kind === "line" ? lineY(y) : planeY(state.features[y][1])];

  /** The features under a point of the picture, on a grid of twentieths. */
  const featuresAt = ([x, y]) =>
    [((x - 220) * REACH) / 200, ((150 - y) * REACH) / 140].map((value) => Math.round(20 * Math.min(REACH, Math.max(-REACH, value))) / 20);

  function drawFeatures(svg, state, p) {
    const line = state.kind === "line", values = [-3, -2, -1, 0, 1, 2, 3], bottom = line ? lineY(2) + 24 : 290;
    svg.setAttribute("viewBox", `0 0 440 ${line ? 182 : 316}`);
    const mean = [0, 1].map((i) => p.reduce((total, value, y) => total + value * state.features[y][i], 0));
    const layer = still(svg);
    const from = place(state, 1), to = place(state, 0), length = Math.hypot(to[0] - from[0], to[1] - from[1]);
    const [ux, uy] = length ? [(to[0] - from[0]) / length, (to[1] - from[1]) / length] : [0, 0];
    const cut = [[from[0] + 13 * ux, from[1] + 13 * uy], [to[0] - 15 * ux, to[1] - 15 * uy]];
    layer.replaceChildren(
      ...values.map((v) => make("line", { x1: planeX(v), x2: planeX(v), y1: line ? 12 : 10, y2: bottom, class: v === 0 ? "axis" : "grid" })),
      ...(line ? [0, 1, 2].map((y) => make("line", { x1: 20, x2: 420, y1: lineY(y), y2: lineY(y), class: "grid" })) : values.map((v) => make("line", { x1: 20, x2: 420, y1: planeY(v), y2: planeY(v), class: v === 0 ? "axis" : "grid" }))),
      ...[0, 1, 2].map((y) => make("line", { x1: planeX(mean[0]), y1: line ? lineY(y) : planeY(mean[1]), x2: place(state, y)[0], y2: place(state, y)[1], class: `score s${y}` })),
      ...values.map((v) => make("text", { x: planeX(v), y: bottom + 18, "text-anchor": "middle", class: "tick" }, Words.number(v))),
      ...(!line && state.told === "one" && length > 34
        ? [make("line", { x1: cut[0][0], y1: cut[0][1], x2: cut[1][0] - 7 * ux, y2: cut[1][1] - 7 * uy, class: "continuous" }),
          make("polygon", { points: points([cut[1], [cut[1][0] - 9 * ux + 4.5 * uy, cut[1][1] - 9 * uy - 4.5 * ux], [cut[1][0] - 9 * ux - 4.5 * uy, cut[1][1] - 9 * uy + 4.5 * ux]]), fill: "var(--link)" })]
        : []),
      line
        ? make("line", { x1: planeX(mean[0]), x2: planeX(mean[0]), y1: 12, y2: bottom, class: "cursor" })
        : make("path", { d: `M${planeX(mean[0]) - 6},${planeY(mean[1])}h12m-6,-6v12`, class: "plain", fill: "none", "stroke-width": 2 }),
    );
  }

  // ---------------------------------------------------------------- where the mass goes

  function drawMass(svg, state, account) {
    const most = Math.max(...account.actual.map(Math.abs), ...account.predicted.map(Math.abs), 1e-12), names = Words.names(state);
    const width = (value) => (Math.abs(value) / most) * 150, middle = 262;
    const bar = (value, y, thick, attributes) => make("rect", { x: value < 0 ? middle - width(value) : middle, y: y - thick / 2, width: width(value), height: thick, ...attributes });
    svg.replaceChildren(
      ...[0, 1, 2].flatMap((y) => {
        const at = 20 + 34 * y;
        return [
          make("text", { x: 0, y: at + 5, class: `n${y}` }, Words.title(names[y])),
          bar(account.actual[y], at, 16, { class: `f${y}` }),
          bar(account.predicted[y], at, 23, { class: "guess plain", "stroke-dasharray": "3 2" }),
        ];
      }),
      make("line", { x1: middle, x2: middle, y1: 2, y2: 104, class: "axis" }),
    );
    svg.setAttribute("aria-label", `Where the probability goes: ${names.map((name, y) => `${name} ${Words.signed(account.actual[y])}, predicted ${Words.signed(account.predicted[y])}`).join("; ")}.`);
  }

  return { fieldOf, drawCurves, drawFeatures, drawMass, drawSimplex, featuresAt, fromPlane, make, mark, place, toPlane };
})();
