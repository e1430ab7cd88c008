"use strict";
/** What the page is about: a state, and the address that holds it. Nothing here draws. */
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
  const moreRange = (parameter) => ({ gamma: [-2, 5], scale: [0.1, 20], penalty: [0, 50] })[parameter] ?? [0, 3];
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
    preset: (text) => (Object.hasOwn(Presets, text) ? text : undefined),
    p: probabilities,
    ref: probabilities,
    kind: among("line", "plane", "tabular"),
    features: rows,
    told: among("one", "rewards", "cycle"),
    rewards: (text) => numbers(text, 3),
    loss: (text) => (Object.hasOwn(PreferenceDynamics.LOSSES, text) ? text : undefined),
    beta: within(0.01, 5),
    more: within(-5, 50),
    rate: within(0.001, 10),
    steps: whole(1000),
    at: whole(1000),
    field: among("flow", "replicator", "ratios", "none"),
    chart: among("logs", "drives", "margin"),
  };

  const write = (value) => (Array.isArray(value) ? value.map(write).join(value.some(Array.isArray) ? ";" : ",") : String(value));

  /** The state as the part of an address behind the #; an empty text is the usual state. */
  function toAddress(state) {
    const usual = { ...START, ...Presets[state.preset]?.state };
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
    const state = structuredClone({ ...START, ...Presets[preset]?.state, preset: preset ?? "" }), unread = [];
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

  const preset = (name) => structuredClone({ ...START, ...Presets[name].state, preset: name });

  return { PRESETS: Presets, START, fromAddress, hasBeta, moreRange, normalized, preset, secondParameter, toAddress, world };
})();
