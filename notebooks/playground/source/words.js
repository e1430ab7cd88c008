"use strict";
/** What the page says about one step, in plain sentences with the numbers of this world in them. */
const Words = (() => {
  const NAMES = { pair: ["chosen", "rejected", "other"], many: ["first", "second", "third"] };
  const MINUS = "\u2212";

  /** A number for a sentence: three digits, a true minus sign, no -0. */
  function number(x, digits = 3) {
    if (x === 0 || Math.abs(x) < 1e-12) return "0";
    const size = Math.abs(x);
    const text = size >= 1e5 || size < 1e-4
      ? size.toExponential(1).replace(/e([+-])(\d+)/, (_, sign, power) => ` × 10${sign === "-" ? "⁻" : ""}${[...power].map((d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d]).join("")}`)
      : String(Number(size.toPrecision(digits)));
    return (x < 0 ? MINUS : "") + text;
  }
  /** A number for a narrow cell: with its sign, and 1.2e−5 where a sentence has 1.2 × 10⁻⁵. */
  const cell = (x, digits = 3) => {
    const size = Math.abs(x), sign = x > 0 ? "+" : MINUS;
    if (size < 1e-12) return "0";
    return sign + (size < 1e-3 || size >= 1e4 ? size.toExponential(digits - 1).replace("e-", `e${MINUS}`).replace("e+", "e") : String(Number(size.toPrecision(digits))));
  };
  const signed = (x, digits) => (number(x, digits) === "0" ? "0" : (x > 0 ? "+" : "") + number(x, digits));
  const percent = (x) => (x > 0 && x < 0.0005 ? "< 0.1 %" : `${(100 * x).toFixed(1)} %`);

  const names = (state) => NAMES[state.told === "one" ? "pair" : "many"];

  /** Whether two sums are equal but for rounding. */
  const even = (a, b) => Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(a), Math.abs(b));
  const direction = (x) => (Math.abs(x) < 1e-12 ? "stands still to first order" : x > 0 ? "rises" : "falls");
  const title = (text) => text[0].toUpperCase() + text.slice(1);

  /** Whether drives say who rises: with one pair, whose two responses the loss pushes equally hard. */
  const hasDrives = (account, state) => state.told === "one" && even(account.push[0], -account.push[1]);

  /** The comparison that decides, as symbols: weight times product against weight times square. */
  function terms(own, square, pull, product, symbols) {
    const equal = even(own, pull), times = (weight, text) => (equal ? text : `${number(weight)} × ${text}`);
    return {
      lift: own * square,
      drag: pull * product,
      square: `${times(own, symbols[0])} = ${number((equal ? 1 : own) * square)}`,
      product: `${times(pull, symbols[1])} = ${number((equal ? 1 : pull) * product)}`,
    };
  }

  /** Why the two responses of a pair move as they do. Returns a question and sentences. */
  function explainPair(account, shared) {
    const own = account.push[0], pull = -account.push[1], gram = account.kernel;
    const [ww, wl, ll] = [gram[0][0], gram[0][1], gram[1][1]];
    const speed = account.push.reduce((total, c, z) => total + c * gram[0][z], 0);
    if (Math.abs(own) < 1e-12 && Math.abs(pull) < 1e-12)
      return {
        question: "Why does nothing move?",
        sentences: [`The loss is flat here: at the margin ${number(account.margin[0])} it asks for no change, and no response moves.`],
      };
    const chosen = terms(own, ww, pull, wl, ["|g_w|²", "⟨g_w, g_l⟩"]);
    const sentences = [];
    if (own < 0 || pull < 0) {
      const past = own < 0 && pull < 0;
      sentences.push(past
        ? `The loss has passed its target: at the margin ${number(account.margin[0])} it pulls the pair together again, so every arrow turns round.`
        : "The two weights of this loss have different signs here: it moves both responses of the pair the same way.");
    }
    // without shared features ⟨g_w, g_l⟩ > 0 only where the other response is the likeliest
    const why = (alike) => (shared ? `for the two look ${alike} to the model` : "for it moves probability to the likeliest response");
    const verb = direction(speed);
    const compare = even(chosen.lift, chosen.drag) ? "equals" : chosen.drag > chosen.lift ? "is greater than" : "is less than";
    sentences.push(`The chosen response ${verb}, because ${chosen.product} ${compare} ${chosen.square}.`);
    if (own > 0 && pull > 0) {
      if (verb === "falls") sentences.push(`Its own push lifts it by less than the push against the rejected response drags it down, ${why("alike")}.`);
      else if (verb === "rises" && wl > 0) sentences.push(`The push against the rejected response drags it down, ${why("somewhat alike")}, but its own push is stronger.`);
      else if (verb === "rises") sentences.push("Both pushes lift it: pushing the rejected response down does not drag the chosen one along.");
    }
    const other = terms(pull, ll, own, wl, ["|g_l|²", "⟨g_w, g_l⟩"]);
    const speedRejected = account.push.reduce((total, c, z) => total + c * gram[1][z], 0);
    const compareOther = even(other.lift, other.drag) ? "equals" : other.drag > other.lift ? "is less than" : "is greater than";
    sentences.push(`The rejected response ${direction(speedRejected)}, because ${other.square} ${compareOther} ${other.product}.`);
    if (ww - 2 * wl + ll < 1e-12) sentences.push("The chosen and the rejected response look the same to the model: no step can tell them apart.");
    const [ow, ol] = gram[2], third = own * ow - pull * ol, same = even(own, pull), times = (weight) => (same ? "" : `${number(weight)} × `);
    const relation = Math.abs(third) < 1e-12 ? "equals" : third > 0 ? "is greater than" : "is less than";
    sentences.push(`The other response ${direction(third)}, because ${times(own)}⟨g_o, g_w⟩ = ${number((same ? 1 : own) * ow)} ${relation} ${times(pull)}⟨g_o, g_l⟩ = ${number((same ? 1 : pull) * ol)}.`);
    return { question: { falls: "Why did it fall?", rises: "Why did it rise?", "stands still to first order": "Why does it stand still?" }[verb], sentences };
  }

  /** What several pairs do together. */
  function explainMany(account) {
    const moved = account.predicted.map((change) => Math.abs(change)), rest = Math.max(...moved) < 1e-6;
    const list = (values) => `(${values.map((value) => signed(value)).join(", ")})`;
    const pushes = `Added up over all pairs, the pushes on the three log-probabilities are ${list(account.push)}.`;
    if (rest)
      return {
        question: "Why does nothing move?",
        sentences: [
          pushes,
          Math.max(...account.push.map(Math.abs)) < 1e-5
            ? "They cancel: each preference is met as often as it is told, and the policy rests."
            : "They do not cancel, but the features leave no direction in which they could act: this is as near as the policy can come.",
        ],
      };
    const speed = account.kernel.map((row) => row.reduce((total, k, z) => total + k * account.push[z], 0));
    return {
      question: "What moves, and why?",
      sentences: [pushes, `Through the features each push acts on all three, by Σ c_z ⟨g_y, g_z⟩: they move at the speeds ${list(speed)}.`],
    };
  }

  /** Where the probability went, exactly. */
  function mass(account, state) {
    const name = names(state), change = account.actual;
    const losers = change.map((_, y) => y).filter((y) => change[y] < -1e-9), winners = change.map((_, y) => y).filter((y) => change[y] > 1e-9);
    if (!losers.length) return "No probability moves.";
    const both = (group) => group.map((y) => name[y]).join(" and the ");
    const amount = winners.reduce((total, y) => total + change[y], 0);
    return `In this step ${number(100 * amount)} % of the probability goes from the ${both(losers)} response${losers.length > 1 ? "s" : ""} to the ${both(winners)}.`;
  }

  /** What the linear prediction misses, if it misses a sign. */
  function surprise(account, state) {
    const wrong = account.actual.findIndex((x, y) => Math.abs(x) > 1e-9 && Math.abs(account.predicted[y]) > 1e-9 && x * account.predicted[y] < 0);
    if (wrong < 0) return "";
    const name = names(state)[wrong];
    return `A step this long is not small: to first order the ${name} response would ${account.predicted[wrong] > 0 ? "rise" : "fall"}, and it ${account.actual[wrong] > 0 ? "rises" : "falls"}. Try a smaller learning rate.`;
  }

  /** Whether Corollary 2 of jian2025 holds in this step, to first order. */
  function corollary(account, state) {
    const [w, l] = account.predicted;
    if (state.told !== "one" || state.loss !== "dpo" || w >= l - 1e-12) return "";
    return `Corollary 2 of Jian et al. says that the chosen response gains at least as much probability as the rejected one. It is false here: ${signed(w)} against ${signed(l)} to first order.`;
  }

  function explain(account, state) {
    const { question, sentences } = state.told === "one" ? explainPair(account, state.kind !== "tabular") : explainMany(account);
    return { question, sentences: [...sentences, mass(account, state), surprise(account, state), corollary(account, state)].filter(Boolean) };
  }

  return { cell, direction, explain, hasDrives, names, number, percent, signed, title };
})();
