"use strict";
/**
 * The mathematics of the playground: one step of preference optimization and its account, many steps, continuous time.
 *
 * The Python package `dynamics` is the reference. tests/notebooks/test_playground_mathematics.py holds every function
 * here to it, and the losses carry the same names and defaults. All logarithms are natural.
 *
 * A world is an object
 *   features      phi of every response, an array of rows; the identity matrix is a tabular policy
 *   base          logarithm of the base measure of every response (any constant may be added)
 *   theta         parameters; pi(y) is proportional to exp(base[y] + phi(y) . theta)
 *   reference     log ref of every response; null means the policy itself
 *   pairs         what the learner is told: [{ chosen, rejected, weight }], indices of responses
 *   loss          { name, beta, ... }: a key of LOSSES, and hyper-parameters where they are not the defaults
 *   learningRate  eta
 */
const PreferenceDynamics = (() => {
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const dot = (a, b) => sum(a.map((value, i) => value * b[i]));
  const identity = (n) => Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => Number(i === j)));

  // ---------------------------------------------------------------- functions that keep their digits in the tails

  function sigmoid(x) {
    if (x >= 0) return 1 / (1 + Math.exp(-x));
    const small = Math.exp(x);
    return small / (1 + small);
  }

  const logSigmoid = (x) => Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x)));

  /** 1 - erf(x): a series of positive terms near 0, a continued fraction in the tail. */
  function erfc(x) {
    if (x < 0) return 2 - erfc(-x);
    if (x > 27) return 0;
    if (x < 1.5) {
      let term = x, series = x;
      for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(series); n++) {
        term *= (2 * x * x) / (2 * n + 1);
        series += term;
      }
      return 1 - (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * series;
    }
    let fraction = x;
    for (let n = 120; n > 0; n--) fraction = x + n / 2 / fraction;
    return Math.exp(-x * x) / Math.sqrt(Math.PI) / fraction;
  }

  const normalCdf = (x) => erfc(-x / Math.SQRT2) / 2;

  // ---------------------------------------------------------------- losses, named as in dynamics.losses.LOSSES

  // A loss is a function f of its margin z. A pair holds log-probabilities: chosen, rejected, and those of the reference.
  const logRatio = (pair) => pair.chosen - pair.referenceChosen - (pair.rejected - pair.referenceRejected);
  const opposite = (scale) => [scale, -scale];

  const logistic = { value: (z) => -logSigmoid(z), slope: (z) => -sigmoid(-z) };
  const againstReference = {
    parameters: { beta: 0.1 },
    margin: (pair, h) => h.beta * logRatio(pair),
    marginSlopes: (pair, h) => opposite(h.beta),
  };

  const ACTIVATIONS = {
    silu: [(x) => x * sigmoid(x), (x) => sigmoid(x) * (1 + x * sigmoid(-x))],
    gelu: [(x) => x * normalCdf(x), (x) => normalCdf(x) + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI)],
    relu: [(x) => Math.max(x, 0), (x) => Number(x > 0)],
    square: [(x) => x * x, (x) => 2 * x],
    identity: [(x) => x, () => 1],
  };

  function selfPO(activation) {
    const [value, slope] = ACTIVATIONS[activation];
    return {
      parameters: { beta: 2.5, gamma: 0.8 },
      margin: (pair, h) => pair.chosen * h.beta - pair.rejected * h.beta - h.gamma,
      marginSlopes: (pair, h) => opposite(h.beta),
      value: (z) => value(-z),
      slope: (z) => -slope(-z),
    };
  }

  /** The clipped ratio lambda of ma2025 Eq. 26 and its slope: 1 inside the clip, 0 outside. */
  function imbalanceRatio(pair, clip, symmetric) {
    const logOdds = pair.chosen - pair.rejected;
    const lower = symmetric ? 1 / (1 + clip) - 1 : 0;
    return [1 + Math.min(Math.max(logOdds, lower), clip), Number(logOdds >= lower && logOdds <= clip)];
  }

  function naiveBDPO(symmetric) {
    return {
      ...logistic,
      ...againstReference,
      parameters: { beta: 0.1, clip: 0.5 },
      marginSlopes: (pair, h) => [h.beta * imbalanceRatio(pair, h.clip, symmetric)[0], -h.beta],
    };
  }

  function naiveBDPOv2(symmetric) {
    return {
      ...logistic,
      parameters: { beta: 0.1, clip: 0.5 },
      margin: (pair, h) => {
        const [ratio] = imbalanceRatio(pair, h.clip, symmetric);
        return h.beta * (logRatio(pair) + (ratio - 1) * (pair.chosen - pair.referenceChosen));
      },
      marginSlopes: (pair, h) => {
        const [ratio, moves] = imbalanceRatio(pair, h.clip, symmetric);
        const extra = moves * (pair.chosen - pair.referenceChosen);
        return [h.beta * (ratio + extra), -h.beta * (1 + extra)];
      },
    };
  }

  const LOSSES = {
    dpo: { ...logistic, ...againstReference },
    dpop: {
      ...logistic,
      parameters: { beta: 0.1, penalty: 50 },
      margin: (pair, h) => h.beta * (logRatio(pair) - h.penalty * Math.max(0, pair.referenceChosen - pair.chosen)),
      marginSlopes: (pair, h) => [h.beta * (1 + h.penalty * Number(pair.chosen < pair.referenceChosen)), -h.beta],
    },
    ipo: {
      parameters: { beta: 0.1 },
      margin: logRatio,
      marginSlopes: () => opposite(1),
      value: (z, h) => (z - 1 / (2 * h.beta)) ** 2,
      slope: (z, h) => 2 * (z - 1 / (2 * h.beta)),
    },
    hinge: { ...againstReference, value: (z) => Math.max(0, 1 - z), slope: (z) => -Number(z < 1) },
    slic: {
      parameters: { delta: 1 },
      margin: (pair) => pair.chosen - pair.rejected,
      marginSlopes: () => opposite(1),
      value: (z, h) => Math.max(0, h.delta - z),
      slope: (z, h) => -Number(z < h.delta),
    },
    cpo: {
      ...logistic,
      parameters: { beta: 0.1, sft_weight: 1 },
      margin: (pair, h) => h.beta * (pair.chosen - pair.rejected),
      marginSlopes: (pair, h) => opposite(h.beta),
      likelihoodWeight: (h) => h.sft_weight, // of the added term -log pi(chosen)
    },
    simpo: {
      ...logistic,
      parameters: { beta: 2, gamma: 0.5 },
      margin: (pair, h) => h.beta * (pair.chosen - pair.rejected) - h.gamma,
      marginSlopes: (pair, h) => opposite(h.beta),
    },
    sft: {
      parameters: {},
      margin: (pair) => pair.chosen,
      marginSlopes: () => [1, 0],
      value: (z) => -z,
      slope: () => -1,
    },
    self_po: selfPO("silu"),
    self_po_gelu: selfPO("gelu"),
    self_po_relu: selfPO("relu"),
    self_po_square: selfPO("square"),
    self_po_identity: selfPO("identity"),
    naive_bdpo: naiveBDPO(false),
    naive_bdpo_symmetric: naiveBDPO(true),
    naive_bdpo_v2: naiveBDPOv2(false),
    naive_bdpo_v2_symmetric: naiveBDPOv2(true),
    bdpo: {
      ...logistic,
      parameters: { beta: 0.1 },
      margin: (pair, h) => {
        const total = pair.chosen + pair.rejected;
        const share = pair.rejected / total, rest = pair.chosen / total;
        return h.beta * (share * (pair.chosen - pair.referenceChosen) - rest * (pair.rejected - pair.referenceRejected));
      },
      marginSlopes: (pair, h) => {
        const total = pair.chosen + pair.rejected;
        const common = (pair.referenceChosen + pair.referenceRejected) / total;
        return [(h.beta * common * pair.rejected) / total, (-h.beta * common * pair.chosen) / total];
      },
    },
    probability_margin: {
      ...logistic,
      parameters: { scale: 1 },
      margin: (pair, h) => h.scale * (Math.exp(pair.chosen) - Math.exp(pair.rejected)),
      marginSlopes: (pair, h) => [h.scale * Math.exp(pair.chosen), -h.scale * Math.exp(pair.rejected)],
    },
  };

  /** The loss of one pair: value, margin, urgency = -f'(margin), and dL / d log pi of the chosen and the rejected. */
  function evaluateLoss(loss, pair) {
    const kind = LOSSES[loss.name], h = { ...kind.parameters, ...loss };
    const margin = kind.margin(pair, h), slope = kind.slope(margin, h);
    const [alongChosen, alongRejected] = kind.marginSlopes(pair, h);
    const likelihood = kind.likelihoodWeight ? kind.likelihoodWeight(h) : 0;
    return {
      value: kind.value(margin, h) - likelihood * pair.chosen,
      margin,
      urgency: -slope,
      chosen: slope * alongChosen - likelihood,
      rejected: slope * alongRejected,
    };
  }

  // ---------------------------------------------------------------- the policy

  /** Potentials less their log-sum-exp: log-probabilities. */
  function normalize(potentials) {
    const largest = Math.max(...potentials), shifted = potentials.map((value) => value - largest);
    const total = Math.log(sum(shifted.map(Math.exp)));
    return shifted.map((value) => value - total);
  }

  const logProbs = (world, theta = world.theta) =>
    normalize(world.features.map((phi, y) => dot(phi, theta) + world.base[y]));

  /** g_y = phi_y - E phi, as a mean of differences: what all features have in common costs no digits. */
  const scores = (features, p) =>
    features.map((phi) => phi.map((value, i) => sum(features.map((other, z) => p[z] * (value - other[i])))));

  const kernel = (g) => g.map((a) => g.map((b) => dot(a, b)));

  // ---------------------------------------------------------------- the objective: the weighted mean of the pairs' losses

  const losses = (world, logP, reference) =>
    world.pairs.map(({ chosen, rejected }) =>
      evaluateLoss(world.loss, {
        chosen: logP[chosen],
        rejected: logP[rejected],
        referenceChosen: reference[chosen],
        referenceRejected: reference[rejected],
      }),
    );

  /** The share of each pair in the mean: only ratios of weights matter. */
  function shares({ pairs }) {
    const total = sum(pairs.map(({ weight }) => weight));
    return pairs.map(({ weight }) => weight / total);
  }

  /** The objective: the weighted mean of the losses. */
  const mean = (world, found) => sum(shares(world).map((share, k) => share * found[k].value));

  /** Minus the gradient of the objective in every log pi taken as free. */
  function pushes(world, logP, found) {
    const push = logP.map(() => 0), share = shares(world);
    world.pairs.forEach(({ chosen, rejected }, k) => {
      push[chosen] -= share[k] * found[k].chosen;
      push[rejected] -= share[k] * found[k].rejected;
    });
    return push;
  }

  /** Minus the gradient of the objective in theta. */
  function descent(world, theta, reference) {
    const logP = logProbs(world, theta), g = scores(world.features, logP.map(Math.exp));
    const push = pushes(world, logP, losses(world, logP, reference));
    return theta.map((_, i) => sum(push.map((c, y) => c * g[y][i])));
  }

  /** exp(b) - exp(a), with its digits where they are nearly equal. */
  const expDifference = (a, b) => -Math.exp(Math.max(a, b)) * Math.expm1(-Math.abs(b - a)) * Math.sign(b - a);

  /** One step of gradient descent and its account, as dynamics.step gives it. */
  function step(world) {
    const before = logProbs(world), p = before.map(Math.exp), reference = world.reference ?? before;
    const g = scores(world.features, p), gram = kernel(g), found = losses(world, before, reference);
    const push = pushes(world, before, found);
    const change = world.theta.map((_, i) => world.learningRate * sum(push.map((c, y) => c * g[y][i])));
    const newTheta = world.theta.map((value, i) => value + change[i]), after = logProbs(world, newTheta);
    const slope = g.map((row) => dot(row, change)), variance = sum(slope.map((value, y) => p[y] * value * value));
    const after_ = losses(world, after, reference);
    return {
      newTheta,
      logProbs: before,
      newLogProbs: after,
      scores: g,
      kernel: gram,
      push, // c_y: log pi(y) moves by eta sum_z c_z <g_y, g_z> to first order
      drive: world.pairs.map(({ chosen, rejected }) => gram.map((row) => row[chosen] - row[rejected])),
      margin: found.map((loss) => loss.margin),
      newMargin: after_.map((loss) => loss.margin),
      urgency: found.map((loss) => loss.urgency),
      loss: mean(world, found),
      newLoss: mean(world, after_),
      actual: before.map((value, y) => expDifference(value, after[y])),
      predicted: slope.map((value, y) => p[y] * value),
      secondOrder: slope.map((value, y) => p[y] * value + (p[y] * (value * value - variance)) / 2),
    };
  }

  /** Many steps: theta and log pi before the first one and after each. The reference is that of the start. */
  function walk(world, steps) {
    const reference = world.reference ?? logProbs(world);
    const thetas = [world.theta], rows = [logProbs(world)];
    for (let k = 0; k < steps; k++) {
      const down = descent(world, thetas[k], reference);
      thetas.push(thetas[k].map((value, i) => value + world.learningRate * down[i]));
      rows.push(logProbs(world, thetas[k + 1]));
    }
    return { thetas, logProbs: rows };
  }

  // ---------------------------------------------------------------- continuous time

  // Dormand and Prince's pair of orders 5 and 4
  const STAGES = [
    [],
    [1 / 5],
    [3 / 40, 9 / 40],
    [44 / 45, -56 / 15, 32 / 9],
    [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
    [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
    [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
  ];
  const ERROR = [71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40];

  /**
   * Solve dy/dt = velocity(y) from time 0; return y at increasing times, or null if it takes too many steps.
   * Across a kink of the velocity the error is larger than the tolerance: ask for a smaller one.
   */
  function integrate(velocity, start, times, { relative = 1e-8, absolute = 1e-10, most = 20000 } = {}) {
    let y = start, t = 0, first = velocity(y), taken = 0;
    let size = 0.01 / (1e-6 + Math.sqrt(dot(first, first)));
    const rows = [];
    for (const end of times) {
      while (t < end) {
        if (++taken > most) return null;
        const last = t + size >= end, h = last ? end - t : size;
        const k = [first];
        let next = y;
        for (let s = 1; s < 7; s++) {
          next = y.map((value, i) => value + h * sum(STAGES[s].map((a, j) => a * k[j][i])));
          k.push(velocity(next));
        }
        const errors = y.map((value, i) => {
          const scale = absolute + relative * Math.max(Math.abs(value), Math.abs(next[i]));
          return (h * sum(ERROR.map((e, j) => e * k[j][i]))) / scale;
        });
        const error = Math.sqrt(dot(errors, errors) / errors.length);
        const factor = Math.min(5, Math.max(0.2, 0.9 * (error + 1e-30) ** -0.2));
        if (error <= 1) {
          t = last ? end : t + h;
          y = next;
          first = k[6]; // the last stage is the first of the next step
          if (!last || factor < 1) size = h * factor;
        } else if (Number.isNaN(error) || t + h === t) return null;
        else size = h * Math.min(factor, 0.9);
      }
      rows.push(y);
    }
    return rows;
  }

  /** Gradient flow, the limit of small steps: theta and log pi at increasing times (learning rate times steps). */
  function flow(world, times, settings) {
    const reference = world.reference ?? logProbs(world);
    const thetas = integrate((theta) => descent(world, theta, reference), world.theta, times, settings);
    return thetas && { thetas, logProbs: thetas.map((theta) => logProbs(world, theta)) };
  }

  /** Velocity of pi under gradient flow with these features, if the policy were logP. */
  function velocity(world, logP) {
    const p = logP.map(Math.exp), gram = kernel(scores(world.features, p));
    const push = pushes(world, logP, losses(world, logP, world.reference ?? logProbs(world)));
    return gram.map((row, y) => p[y] * dot(row, push));
  }

  /** Fitness of every response: pi_i' = pi_i (w_i - mean w) is gradient flow of free logits (ma2025 Eq. 12). */
  function replicatorFitness(world, logP) {
    const push = pushes(world, logP, losses(world, logP, world.reference ?? logProbs(world))), total = sum(push);
    return push.map((value, y) => value - Math.exp(logP[y]) * total);
  }

  /** Descent direction of the DPO loss in x1 = pi_w / ref_w and x2 = pi_l / ref_l taken as free (feng2024 Eq. 2). */
  function ratioField(x1, x2, beta) {
    const urgency = sigmoid(beta * (Math.log(x2) - Math.log(x1)));
    return [(beta * urgency) / x1, (-beta * urgency) / x2];
  }

  return {
    LOSSES, evaluateLoss, flow, identity, kernel, logProbs, normalize, ratioField, replicatorFitness, scores, sigmoid, step,
    velocity, walk,
  };
})();
