"use strict";
/** What the page is about: a state, its presets, and the address that holds it. Nothing here draws. */
const Worlds = (() => {
  const third = 1 / 3;
  const START = {
    preset: "",
    p: [third, third, third], // the policy at the start
    ref: null, // three probabilities; null: the policy at the start
    kind: "plane", // features: "line" (one number each), "plane" (two) or "tabular" (nothing shared)
    features: [[1, 0], [0, 1], [-1, -1]],
    told: "one", // "one": A is preferred to B; "rewards": every pair, labelled by rewards; "cycle"
    rewards: [1, 0, 0],
    loss: "dpo",
    beta: 0.5,
    more: null, // the loss's second hyper-parameter; null: its default
    rate: 0.5,
    steps: 100,
    at: 0, // steps taken before the one that is shown
    field: "flow", // arrows: "flow", "replicator", "ratios" or "none"
    chart: "logs", // the curves of the film: "logs", "drives" or "margin"
  };

  const PRESETS = {
    "jian2025-ladder": {
      paper: "jian2025",
      title: "Figure 1: rise, peak, fall",
      text: "The chosen response rises, peaks and falls below where it began, while the loss falls at every step. Predict: at which probability does it peak? Then run the film.",
      state: { kind: "line", p: [Math.exp(-3), 1, Math.exp(-6)], features: [[1, 0], [0, 0], [2, 0]], beta: 0.5, rate: 0.5, steps: 180 },
    },
    "jian2025-displaced": {
      paper: "jian2025",
      title: "Theorem 2: falls from the first step",
      text: "The two responses of the pair have similar features, 2 and 3, and the third has 0. Training to prefer the first lowers both. Drag the rejected response's feature below 2 and see the sentence turn.",
      state: { kind: "line", features: [[2, 0], [3, 0], [0, 0]], beta: 0.5, rate: 0.1, steps: 200 },
    },
    "jian2025-corollary-2": {
      paper: "jian2025",
      title: "Corollary 2 is false",
      text: "The corollary says that the chosen response gains at least as much probability as the rejected one. Here, to first order, the chosen one gains 21/169 and the rejected one 24/169.",
      state: { kind: "line", p: [1 / 13, 3 / 13, 9 / 13], features: [[0, 0], [1, 0], [2, 0]], beta: 1, rate: 2, steps: 20 },
    },
    "jian2025-tabular": {
      paper: "jian2025",
      title: "Nothing shared, nothing strange",
      text: "With a free logit for each response, the chosen one rises and the rejected one falls, always. Whether the other one gains depends on one thing only: is the rejected response likelier than the chosen one? Drag the policy and find the line.",
      state: { kind: "tabular", p: [0.2, 0.5, 0.3], beta: 1, rate: 0.5, steps: 60 },
    },
    "wipf2024-tied": {
      paper: "wipf2024",
      title: "Learning under a constraint",
      text: "All pairs are asked; the target is (1, 9, 1)/11. The features tie the first two responses together, so the target cannot be reached. DPO settles at 7/17 each, the objective of RLHF at 3/7. Choose tabular features and the target is reached.",
      state: { kind: "line", features: [[1, 0], [1, 0], [0, 0]], told: "rewards", rewards: [0, Math.log(9), 0], beta: 1, rate: 1.5, steps: 60, chart: "logs" },
    },
    "feng2024-speeds": {
      paper: "feng2024",
      title: "Figure 1(b): the field in ratios",
      text: "Arrows: the loss's own descent direction if both probabilities could move freely, as the paper draws it. It concludes that DPO lowers the rejected response faster than it raises the chosen one. A softmax disagrees here: 7/20 up, 13/50 down, per unit of η × urgency. Change the arrows to the replicator to see what a policy does.",
      state: { kind: "tabular", p: [0.5, 0.2, 0.3], beta: 1, rate: 0.2, steps: 100, field: "ratios" },
    },
    "sun2025-floor": {
      paper: "sun2025",
      title: "Self PO: a margin with a floor",
      text: "Self PO's loss is least at the margin 1.2785 and stops there: the chosen response falls from 1/3 to 0.0705 and no further. Now choose the loss SimPO and set its target γ to 0: its margin never settles, and the chosen response falls to 0.",
      state: { kind: "line", features: [[1, 0], [0, 0], [3, 0]], loss: "self_po", beta: 1, more: 0, rate: 0.5, steps: 120, chart: "margin" },
    },
    "ma2025-replicator": {
      paper: "ma2025",
      title: "One pair as replicator dynamics",
      text: "Free logits under gradient flow follow the replicator equation. The product of chosen and rejected, over the square of the other, stays as it is. The other response grows while the rejected one leads (right of the dotted line) and shrinks afterwards.",
      state: { kind: "tabular", p: [0.1, 0.8, 0.1], ref: [0.2, 0.3, 0.5], beta: 0.5, rate: 1, steps: 120, field: "replicator" },
    },
    "ma2025-cycle": {
      paper: "ma2025",
      title: "A cycle of preferences",
      text: "Each response beats the next one 9 times in 10, round in a circle. The replicator of the game itself would go round for ever. DPO comes to rest, at the reference.",
      state: { kind: "tabular", p: [0.05, 0.5, 0.45], ref: [0.2, 0.3, 0.5], told: "cycle", beta: 0.5, rate: 3, steps: 120, field: "replicator" },
    },
    "ma2025-balanced": {
      paper: "ma2025",
      title: "Naive bDPO: DPO and a little imitation",
      text: "The balanced loss has DPO's value, but up to 1.5 times its push on the chosen response. Here that is enough to turn the fall into a rise. Choose DPO and it falls.",
      state: { kind: "plane", p: [0.4, 0.2, 0.4], features: [[1, 1], [2.4, 0.2], [-1, -0.5]], loss: "naive_bdpo", beta: 0.5, rate: 0.2, steps: 100 },
    },
  };

  // ---------------------------------------------------------------- from a state to a world of PreferenceDynamics

  const normalized = (weights) => {
    const total = weights.reduce((a, b) => a + b, 0);
    return weights.map((value) => value / total);
  };

  const PAIRS = [[0, 1], [0, 2], [1, 2]];

  /** The pairs with their weights: how often the first of two is preferred. */
  function pairs(state) {
    if (state.told === "one") return [{ chosen: 0, rejected: 1, weight: 1 }];
    return PAIRS.flatMap(([i, j]) => {
      const wins = state.told === "cycle"
        ? (j - i === 1 ? 0.9 : 0.1)
        : PreferenceDynamics.sigmoid(state.rewards[i] - state.rewards[j]);
      return [{ chosen: i, rejected: j, weight: wins }, { chosen: j, rejected: i, weight: 1 - wins }];
    });
  }

  /** The name of the loss's second hyper-parameter, or undefined. */
  const secondParameter = (name) => Object.keys(PreferenceDynamics.LOSSES[name].parameters).find((key) => key !== "beta");
  const moreRange = (parameter) => ({ gamma: [-2, 5], scale: [0.1, 20] })[parameter] ?? [0, 3];
  const hasBeta = (name) => "beta" in PreferenceDynamics.LOSSES[name].parameters;

  function world(state) {
    const loss = { name: state.loss }, second = secondParameter(state.loss);
    if (hasBeta(state.loss)) loss.beta = state.beta;
    if (second && state.more !== null) loss[second] = state.more;
    const columns = { line: 1, plane: 2 }[state.kind];
    const features = columns ? state.features.map((row) => row.slice(0, columns)) : PreferenceDynamics.identity(3);
    const base = normalized(state.p).map(Math.log);
    return {
      features,
      base,
      theta: features[0].map(() => 0),
      reference: state.ref ? normalized(state.ref).map(Math.log) : base,
      pairs: pairs(state),
      loss,
      learningRate: state.rate,
    };
  }

  // ---------------------------------------------------------------- the address: every key whose value is not the usual one

  const numbers = (text, count) => {
    const found = text.split(",").map(Number);
    return found.length === count && found.every((x) => Number.isFinite(x) && Math.abs(x) <= 1e6) ? found : undefined;
  };
  const probabilities = (text) => {
    const found = numbers(text, 3);
    return found && found.every((x) => x > 0) ? found : undefined;
  };
  const within = (low, high) => (text) => {
    const [found] = numbers(text, 1) ?? [];
    return found >= low && found <= high ? found : undefined;
  };
  const whole = (high) => (text) => {
    const found = within(0, high)(text);
    return Number.isInteger(found) ? found : undefined;
  };
  const among = (...allowed) => (text) => (allowed.includes(text) ? text : undefined);
  const rows = (text) => {
    const found = text.split(";").map((row) => numbers(row, 2));
    return found.length === 3 && found.every((row) => row && row.every((x) => Math.abs(x) <= 3)) ? found : undefined;
  };

  const READ = {
    preset: (text) => (Object.hasOwn(PRESETS, text) ? text : undefined),
    p: probabilities,
    ref: probabilities,
    kind: among("line", "plane", "tabular"),
    features: rows,
    told: among("one", "rewards", "cycle"),
    rewards: (text) => numbers(text, 3),
    loss: (text) => (Object.hasOwn(PreferenceDynamics.LOSSES, text) ? text : undefined),
    beta: within(0.01, 5),
    more: within(-5, 20),
    rate: within(0.001, 10),
    steps: whole(1000),
    at: whole(1000),
    field: among("flow", "replicator", "ratios", "none"),
    chart: among("logs", "drives", "margin"),
  };

  const write = (value) => (Array.isArray(value) ? value.map(write).join(value.some(Array.isArray) ? ";" : ",") : String(value));

  /** The state as the part of an address behind the #; an empty text is the usual state. */
  function toAddress(state) {
    const usual = { ...START, ...PRESETS[state.preset]?.state };
    return Object.keys(START)
      .filter((key) => write(state[key]) !== write(usual[key]) && state[key] !== null || (key === "preset" && state.preset))
      .map((key) => `${key}=${write(state[key])}`)
      .concat(state.ref === null && usual.ref ? ["ref=start"] : [], state.more === null && usual.more !== null ? ["more=usual"] : [])
      .join("&");
  }

  /** The state that an address holds, and what in it could not be read. */
  function fromAddress(text) {
    const asked = new Map(text.replace(/^#/, "").split("&").filter(Boolean).map((part) => {
      const [key, ...value] = part.split("=");
      return [key, value.join("=")];
    }));
    const preset = READ.preset(asked.get("preset") ?? "");
    const state = structuredClone({ ...START, ...PRESETS[preset]?.state, preset: preset ?? "" }), unread = [];
    for (const [key, value] of asked) {
      if ((key === "ref" && value === "start") || (key === "more" && value === "usual")) state[key] = null;
      else {
        const found = Object.hasOwn(READ, key) ? READ[key](value) : undefined;
        if (found === undefined) unread.push(`${key}=${value}`);
        else state[key] = found;
      }
    }
    const [low, high] = moreRange(secondParameter(state.loss));
    if (state.more !== null && !(state.more >= low && state.more <= high)) {
      unread.push(`more=${state.more}`);
      state.more = null;
    }
    state.at = Math.min(state.at, state.steps);
    return { state, unread };
  }

  const preset = (name) => structuredClone({ ...START, ...PRESETS[name].state, preset: name });

  return { PRESETS, START, fromAddress, hasBeta, moreRange, normalized, preset, secondParameter, toAddress, world };
})();
