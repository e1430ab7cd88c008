"use strict";
/** The page: one state, what is computed from it, and the controls that change it. */
(() => {
  const find = (id) => document.getElementById(id);
  const NARROW = matchMedia("(max-width: 34rem)");
  const CALM = matchMedia("(prefers-reduced-motion: reduce)");
  const LOSS_NAMES = {
    "pushes chosen and rejected equally": { dpo: "DPO", ipo: "IPO", hinge: "Hinge", slic: "SLiC", simpo: "SimPO" },
    "pulls the chosen harder": { cpo: "CPO, with imitation", sft: "SFT, imitation alone", dpop: "DPOP (after pal2024)" },
    "Self PO and its ablation (sun2025)": {
      self_po: "Self PO", self_po_gelu: "Self PO, GELU", self_po_relu: "Self PO, ReLU", self_po_square: "Self PO, square", self_po_identity: "Self PO, identity",
    },
    "balanced (ma2025)": {
      naive_bdpo: "Naive bDPO", naive_bdpo_symmetric: "Naive bDPO, symmetric", naive_bdpo_v2: "Naive bDPO, version 2",
      naive_bdpo_v2_symmetric: "Naive bDPO, version 2, symmetric", bdpo: "bDPO", probability_margin: "Probability margin",
    },
  };
  const MORE_NAMES = { gamma: "γ, target margin", delta: "δ, target log-ratio", sft_weight: "λ, weight of imitation", clip: "Clip of the balance λ", scale: "C, scale", penalty: "λ, penalty" };
  const PAPERS = { jian2025: "Jian et al. 2025", wipf2024: "Wipf 2024", feng2024: "Feng et al. 2024", sun2025: "Sun et al. 2025", ma2025: "Ma et al. 2025" };
  const NEIGHBOURS = {
    razin2024: "Razin et al. 2024", ren2024: "Ren and Sutherland 2024", pal2024: "Pal et al. 2024", yuan2024: "Yuan et al. 2024", rafailov2024: "Rafailov et al. 2024", azar2023: "Azar et al. 2023",
    chen2024: "Chen et al. 2024", pipano2026: "Pipano et al. 2026", yan2024: "Yan et al. 2024", chen2026: "Chen et al. 2026",
  };

  let state = structuredClone(Worlds.START), film, smooth, account, playing = null, telling = 0;

  // ---------------------------------------------------------------- computing

  function compute() {
    const world = Worlds.world(state), path = PreferenceDynamics.walk(world, state.steps);
    const accounts = path.thetas.map((theta) => PreferenceDynamics.step({ ...world, theta }));
    const drives = Words.hasDrives(accounts[0], state);
    const speed = (one) => (drives ? one.drive[0] : one.kernel.map((row) => row.reduce((total, k, z) => total + k * one.push[z], 0)));
    film = { logProbs: path.logProbs, accounts, drives, speeds: accounts.map(speed), margins: accounts.map((one) => one.margin[0]) };
    const end = state.steps * state.rate, times = Array.from({ length: 80 }, (_, k) => end * ((k + 1) / 80) ** 2);
    const flow = PreferenceDynamics.flow(world, times, { relative: 1e-6, absolute: 1e-8, most: 1500 });
    smooth = flow && [path.logProbs[0], ...flow.logProbs];
    return world;
  }

  // ---------------------------------------------------------------- showing

  /** Text with subscripts: g_w becomes g and a lowered w. */
  const rich = (text) =>
    text.split(/(\|g_\w\|²|⟨g_\w, g_\w⟩|c_\w)/).map((part, k) => (k % 2 ? element("span", { class: "math" }, ...lowered(part)) : part));
  const lowered = (text) => text.split(/_(\w)/).map((part, k) => (k % 2 ? element("sub", {}, part) : part));
  const element = (tag, attributes, ...children) => {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  function showAccount() {
    account = film.accounts[state.at];
    const { question, sentences } = Words.explain(account, state), names = Words.names(state);
    find("why-title").textContent = question;
    find("why").replaceChildren(...sentences.map((text) => element("p", {}, ...rich(text))));
    find("drive-head").textContent = film.drives ? "drive" : "speed";
    const arrow = (x) => (Math.abs(x) < 1e-12 ? "" : x > 0 ? " ▲" : " ▼"), digits = NARROW.matches ? 2 : 3;
    const p = account.logProbs.map(Math.exp);
    find("readout").replaceChildren(...names.map((name, y) => element("span", { class: `c${y}` }, element("span", {}, `${Words.title(name)} `), element("span", {}, `${Words.percent(p[y])}${arrow(account.actual[y])}`))));
    find("signs").tBodies[0].replaceChildren(
      ...names.map((name, y) => {
        const head = element("th", { scope: "row", class: `c${y}` }, Words.title(name));
        const cells = [
          Words.percent(p[y]),
          Words.cell(film.speeds[state.at][y], digits),
          element("span", {}, Words.cell(account.actual[y], digits), element("span", { "aria-hidden": "true" }, arrow(account.actual[y]))),
          Words.cell(account.predicted[y], digits),
        ];
        return element("tr", {}, head, ...cells.map((cell, k) => element("td", k ? {} : { class: "now" }, cell)));
      }),
    );
    [...find("scores").tHead.rows[0].cells].slice(2).forEach((cell, y) => { cell.replaceChildren(...lowered(`with g_${(state.told === "one" ? "wlo" : "123")[y]}`)); });
    find("scores").tBodies[0].replaceChildren(
      ...names.map((name, y) => {
        const g = account.scores[y].map((x) => Words.number(x, digits)), row = account.kernel[y].map((x) => Words.number(x, digits));
        return element("tr", {}, element("th", { scope: "row", class: `c${y}` }, Words.title(name)), ...[g.length > 1 ? `(${g.join(", ")})` : g[0], ...row].map((cell, k) => element("td", k ? {} : { class: "wrap" }, cell)));
      }),
    );
    const change = account.newLoss - account.loss;
    find("step-note").textContent = `The loss ${Math.abs(change) < 1e-12 ? "stays" : change > 0 ? "rises" : "falls"}: ${Words.number(account.loss, 4)} to ${Words.number(account.newLoss, 4)}. ${state.told === "one" ? `Margin ${Words.number(account.margin[0])} to ${Words.number(account.newMargin[0])}. ` : ""}Bars: exact; dashed: predicted to first order.`;
    Drawing.drawMass(find("mass"), state, account);
    clearTimeout(telling);
    if (!playing) telling = setTimeout(() => { find("status").textContent = `${question} ${sentences.join(" ")}`.replaceAll("_", " "); }, 700);
  }

  function showControls(world) {
    document.querySelector("main").classList.toggle("many", state.told !== "one");
    find("preset").value = state.preset;
    const preset = Worlds.PRESETS[state.preset], claims = preset?.claims ?? [];
    find("preset-text").replaceChildren(...rich(preset?.text ?? ""));
    find("preset-claims").hidden = !claims.length;
    find("preset-claims").replaceChildren(`${claims.length > 1 ? "Claims" : "Claim"} of the ledger: `, ...claims.flatMap((key, k) => [k ? ", " : "", element("code", {}, key)]), ".");
    find("loss").value = state.loss;
    const second = Worlds.secondParameter(state.loss);
    find("beta-row").hidden = !Worlds.hasBeta(state.loss);
    find("more-row").hidden = !second;
    range("beta", Math.log10(state.beta), Words.number(state.beta));
    range("rate", Math.log10(state.rate), Words.number(state.rate));
    if (second) {
      const [low, high] = Worlds.moreRange(second), value = state.more ?? PreferenceDynamics.LOSSES[state.loss].parameters[second];
      Object.assign(find("more"), { min: low, max: high });
      find("more-label").textContent = MORE_NAMES[second];
      range("more", value, Words.number(value));
    }
    find("told").value = state.told;
    document.querySelector("input[value=drives] + span").textContent = film.drives ? "drive" : "speed";
    find("field").value = Drawing.fieldOf(state);
    find("field").querySelector("[value=ratios]").disabled = state.told !== "one";
    for (const name of ["kind", "chart"]) document.querySelector(`input[name=${name}][value=${state[name]}]`).checked = true;
    find("tied").checked = state.ref === null;
    find("features").style.display = state.kind === "tabular" ? "none" : "";
    find("features-note").textContent = {
      plane: "Drag the marks. Cross: the mean under the policy; the line from it to a mark is that response's score g. Dashed arrow: where training pushes.",
      line: "Drag the marks along their lines. Dashed: the mean under the policy; from it to a mark is that response's score g.",
      tabular: "Each response has a parameter of its own.",
    }[state.kind];
    const key = ["Black disc: the policy; ring: the reference; line: the steps"];
    if (smooth) key.push("dashed: the limit of small steps");
    if (state.told === "one") key.push("dotted: chosen and rejected equally likely");
    find("simplex-key").textContent = `${key.join("; ")}.`;
    if (!find("numbers").contains(document.activeElement)) showNumbers(world);
    if (document.activeElement !== find("steps")) find("steps").value = state.steps;
  }

  function range(id, value, text) {
    find(id).value = value;
    find(id).setAttribute("aria-valuetext", text);
    find(`${id}-text`).textContent = text;
  }

  function showFilm() {
    const at = find("at");
    at.max = state.steps;
    at.value = state.at;
    at.setAttribute("aria-valuetext", `step ${state.at} of ${state.steps}`);
    find("at-text").textContent = `Step ${state.at} of ${state.steps}`;
    find("play").textContent = playing ? "Pause" : CALM.matches ? "To the end" : "Play";
    Drawing.drawCurves(find("curves"), state, film);
  }

  function showHandles(world) {
    const p = film.logProbs[state.at].map(Math.exp), ref = world.reference.map(Math.exp), names = Words.names(state);
    const say = (values) => names.map((name, y) => `${name} ${Words.percent(values[y])}`).join(", ");
    moveHandle("policy", Drawing.toPlane(p), say(p), Math.round(100 * p[0]));
    moveHandle("reference", Drawing.toPlane(ref), say(ref), Math.round(100 * ref[0]));
    if (state.kind !== "tabular")
      names.forEach((name, y) => {
        const values = state.features[y].slice(0, state.kind === "line" ? 1 : 2);
        moveHandle(`feature-${y}`, Drawing.place(state, y), `${name}: ${values.map((v) => Words.number(v)).join(" and ")}`, values[0]);
      });
  }

  /** Draw all that depends on the state; ``light``: only the step that is shown has changed. */
  function show(light = false) {
    const world = light ? Worlds.world(state) : compute();
    Drawing.drawSimplex(find("simplex"), state, world, film, smooth);
    showFilm();
    showAccount();
    if (state.kind !== "tabular") Drawing.drawFeatures(find("features"), state, film.logProbs[state.at].map(Math.exp));
    showHandles(world);
    if (!light) showControls(world);
    remember();
  }

  let remembering = 0;
  function remember() {
    clearTimeout(remembering);
    remembering = setTimeout(() => {
      const address = Worlds.toAddress(state);
      try { history.replaceState(null, "", location.href.split("#")[0] + (address && `#${address}`)); } catch { /* a page from disk may refuse */ }
    }, 250);
  }

  let waiting = 0;
  function change(values) {
    const started = "at" in values ? {} : { at: Math.min(state.at, values.steps ?? state.steps) };
    state = { ...state, ...started, ...values };
    if (!waiting) waiting = requestAnimationFrame(() => { waiting = 0; show(); });
  }

  // ---------------------------------------------------------------- handles: dragged, or moved with the arrow keys

  const handles = {};

  function addHandle(name, svg, label, shape, move) {
    const hit = Drawing.make("circle", { r: 22, class: "hit" });
    const group = Drawing.make("g", { class: "handle", tabindex: 0, role: "slider", "aria-label": label, "aria-valuemin": name.startsWith("feature") ? -3 : 0, "aria-valuemax": name.startsWith("feature") ? 3 : 100, "aria-valuenow": 0 }, hit, shape);
    svg.append(group);
    handles[name] = { group, at: [0, 0] };
    const where = (event) => {
      const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      return [point.x, point.y];
    };
    group.addEventListener("pointerdown", (event) => {
      stop();
      group.setPointerCapture(event.pointerId);
      group.focus({ preventScroll: true });
      event.preventDefault();
    });
    // touch-action does not reach the inside of an SVG in Chromium: a finger on a mark would scroll the page
    group.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
    group.addEventListener("pointermove", (event) => { if (group.hasPointerCapture(event.pointerId)) move(where(event)); });
    group.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!way) return;
      event.preventDefault();
      stop();
      const far = event.shiftKey ? 20 : 4;
      move([handles[name].at[0] + far * way[0], handles[name].at[1] + far * way[1]]);
    });
  }

  function moveHandle(name, at, text, now) {
    handles[name].at = at;
    handles[name].group.setAttribute("transform", `translate(${at[0].toFixed(2)},${at[1].toFixed(2)})`);
    handles[name].group.setAttribute("aria-valuetext", text);
    handles[name].group.setAttribute("aria-valuenow", now);
  }

  addHandle("reference", find("simplex"), "Reference", Drawing.make("circle", { r: 9, class: "reference" }), (at) => change({ ref: Drawing.fromPlane(at), at: 0 }));
  addHandle("policy", find("simplex"), "Policy", Drawing.make("circle", { r: 7, class: "policy" }), (at) => change({ p: Drawing.fromPlane(at), at: 0 }));
  [0, 1, 2].forEach((y) =>
    addHandle(`feature-${y}`, find("features"), `Feature of response ${y + 1}`, Drawing.mark(y, [0, 0], 9), (at) => {
      const [first, second] = Drawing.featuresAt(at);
      change({ features: state.features.map((row, z) => (z === y ? [first, state.kind === "line" ? row[1] : second] : row)) });
    }),
  );

  // ---------------------------------------------------------------- the film

  function stop() {
    if (playing) cancelAnimationFrame(playing);
    playing = null;
  }

  function play() {
    if (playing) { stop(); show(true); return; }
    if (CALM.matches) { change({ at: state.steps }); return; }
    const from = state.at >= state.steps ? 0 : state.at, began = performance.now(), each = Math.max(30, 9000 / state.steps);
    const frame = (now) => {
      state.at = Math.min(state.steps, from + Math.floor(Math.max(0, now - began) / each));
      playing = state.at < state.steps ? requestAnimationFrame(frame) : null;
      show(true);
    };
    playing = requestAnimationFrame(frame);
  }

  const goTo = (at) => { stop(); state.at = Math.min(state.steps, Math.max(0, at)); show(true); };
  find("play").addEventListener("click", play);
  find("rewind").addEventListener("click", () => goTo(0));
  find("forward").addEventListener("click", () => goTo(state.at + 1));
  find("at").addEventListener("input", (event) => goTo(Number(event.target.value)));

  // ---------------------------------------------------------------- the controls

  const rounded = (value) => Number(value.toPrecision(2));
  for (const [group, members] of Object.entries(LOSS_NAMES))
    find("loss").append(element("optgroup", { label: group }, ...Object.entries(members).map(([name, text]) => element("option", { value: name }, text))));
  find("preset").append(element("option", { value: "" }, "three responses, two features"));
  const group = (label, paper) => {
    const members = Object.entries(Worlds.PRESETS).filter(([, preset]) => preset.paper === paper);
    return element("optgroup", { label: `${label} (${paper})` }, ...members.map(([name, preset]) => element("option", { value: name }, preset.title)));
  };
  find("preset").append(
    ...Object.entries(PAPERS).map(([paper, title]) => group(title, paper)),
    element("hr", {}),
    ...Object.entries(NEIGHBOURS).map(([paper, title]) => group(`after ${title}`, paper)),
  );
  const load = (next) => { stop(); state = next; find("unread").hidden = true; show(); };
  find("preset").addEventListener("change", (event) => load(event.target.value ? Worlds.preset(event.target.value) : structuredClone(Worlds.START)));
  find("reset").addEventListener("click", () => load(state.preset ? Worlds.preset(state.preset) : structuredClone(Worlds.START)));
  for (const id of ["loss", "told", "field"]) find(id).addEventListener("change", (event) => { stop(); change({ [id]: event.target.value, ...(id === "loss" ? { more: null } : {}) }); });
  for (const id of ["beta", "rate"]) find(id).addEventListener("input", (event) => { stop(); change({ [id]: rounded(10 ** event.target.value) }); });
  find("more").addEventListener("input", (event) => { stop(); change({ more: Number(event.target.value) }); });
  for (const id of ["kind", "chart"]) find(id).addEventListener("change", (event) => { stop(); change({ [id]: event.target.value }); });
  find("tied").addEventListener("change", (event) => { stop(); change({ ref: event.target.checked ? null : Worlds.normalized(state.p) }); });
  find("steps").addEventListener("change", (event) => {
    stop();
    const steps = Math.round(Number(event.target.value));
    change({ steps: Math.min(1000, Math.max(1, Number.isFinite(steps) ? steps : state.steps)) });
  });
  for (const form of document.forms) form.addEventListener("submit", (event) => event.preventDefault());
  find("share").addEventListener("click", async () => {
    const address = `${location.href.split("#")[0]}#${Worlds.toAddress(state)}`;
    try {
      await navigator.clipboard.writeText(address);
      find("shared").textContent = location.protocol === "file:"
        ? "The link is copied. On another device, open this page there and put the part from # on behind its address."
        : "The link is copied. Whoever opens it sees this world.";
    } catch {
      find("shared").textContent = `Copy this link: ${address}`;
    }
  });

  // exact numbers: three probabilities, three of the reference, features, rewards
  const CELLS = [["p", "Policy"], ["ref", "Reference"], ["f0", "Feature 1"], ["f1", "Feature 2"], ["r", "Reward"]];

  function buildNumbers() {
    find("numbers").tBodies[0].replaceChildren(...[0, 1, 2].map((y) =>
      element("tr", {}, element("th", { scope: "row", class: `c${y}` }, ""), ...CELLS.map(([key, label]) => {
        const input = element("input", { type: "text", inputmode: "decimal", autocomplete: "off", "data-key": key, "data-row": y, "aria-label": `${label} of response ${y + 1}` });
        input.addEventListener("change", () => readNumber(input));
        return element("td", {}, input);
      }))));
  }

  function readNumber(input) {
    const { key } = input.dataset, y = Number(input.dataset.row), value = Number(input.value.replace(",", ".").replace(MINUS, "-"));
    const replace = (list) => list.map((old, z) => (z === y ? value : old));
    const probability = key === "p" || key === "ref";
    const fine = input.value.trim() && Number.isFinite(value) && (probability ? value > 0 : Math.abs(value) <= (key === "r" ? 100 : 3));
    input.setAttribute("aria-invalid", String(!fine));
    find("shared").textContent = fine ? "" : probability ? "A probability is a number above 0." : `A ${key === "r" ? "reward is a number from −100 to 100" : "feature is a number from −3 to 3"}.`;
    if (!fine) return;
    stop();
    if (key === "p") change({ p: replace(state.p), at: 0 });
    else if (key === "ref") change({ ref: replace(state.ref ?? state.p), at: 0 });
    else if (key === "r") change({ rewards: replace(state.rewards) });
    else change({ features: state.features.map((row, z) => (z === y ? (key === "f0" ? [value, row[1]] : [row[0], value]) : row)) });
  }
  const MINUS = "\u2212";

  function showNumbers(world) {
    const short = (value) => String(Number(value.toPrecision(4)));
    for (const input of find("numbers").querySelectorAll("input")) {
      const { key } = input.dataset, y = Number(input.dataset.row);
      const values = { p: Math.exp(world.base[y]), ref: Math.exp(world.reference[y]), f0: state.features[y][0], f1: state.features[y][1], r: state.rewards[y] };
      input.value = short(values[key]);
      input.removeAttribute("aria-invalid");
      input.disabled = { f0: state.kind === "tabular", f1: state.kind !== "plane", r: state.told !== "rewards" }[key] ?? false;
    }
    Words.names(state).forEach((name, y) => { find("numbers").tBodies[0].rows[y].cells[0].textContent = Words.title(name); });
  }

  // ---------------------------------------------------------------- the address

  function read() {
    const { state: found, unread } = Worlds.fromAddress(location.hash);
    load(found);
    find("unread").hidden = !unread.length;
    find("unread").textContent = unread.length ? `This part of the link could not be read and was left out: ${unread.join(", ")}.` : "";
  }
  addEventListener("hashchange", read);
  CALM.addEventListener("change", showFilm);
  buildNumbers();
  find("numbers").addEventListener("focusout", (event) => {
    const wrong = find("numbers").querySelector("[aria-invalid=true]");
    if (!find("numbers").contains(event.relatedTarget) && !wrong) requestAnimationFrame(() => showNumbers(Worlds.world(state)));
  });
  read();
})();
