"""The losses once more, typed from the papers: sample by sample, in float64, with loops."""

import math

import numpy as np


def softmax(logits):
    exponentials = np.exp(logits - logits.max())
    return exponentials / exponentials.sum()


def one_hot(k, y):
    return [1.0 if j == y else 0.0 for j in range(k)]


def ce(p, y):
    q = one_hot(len(p), y)
    return sum(-q[k] * math.log(p[k]) for k in range(len(p)))


def fl(p, y, gamma):
    return -((1 - p[y]) ** gamma) * math.log(p[y])


def mae(p, y):
    q = one_hot(len(p), y)
    return sum(abs(p[k] - q[k]) for k in range(len(p)))


def rce(p, y, q_min):
    q = one_hot(len(p), y)
    return -sum(p[k] * math.log(max(q[k], q_min)) for k in range(len(p)))


def gce(p, y, q):
    return (1 - p[y] ** q) / q


def sce(p, y, alpha, beta, q_min):
    return alpha * ce(p, y) + beta * rce(p, y, q_min)


def phce(p, y, tau):
    if p[y] <= 1 / tau:
        return -tau * p[y] + math.log(tau) + 1
    return -math.log(p[y])


def tce(p, y, t):
    return sum((1 - p[y]) ** i / i for i in range(1, t + 1))


def normalized(loss, p, y, **hyper_parameters):
    """Eq. 2."""
    over_labels = [loss(p, k, **hyper_parameters) for k in range(len(p))]
    return over_labels[y] / sum(over_labels)


def normalized_negative(loss, p, y, p_min, **hyper_parameters):
    """Eq. 7 by way of eq. 6: sum_k (1 - q_k) (A - L_k) over its sum over labels, times K - 1."""
    clipped = [max(value, p_min) for value in p]
    largest = loss([p_min], 0, **hyper_parameters)

    def negative(label):
        q = one_hot(len(p), label)
        flipped = [largest - loss(clipped, k, **hyper_parameters) for k in range(len(p))]
        return sum((1 - q[k]) * flipped[k] for k in range(len(p)))

    return (len(p) - 1) * negative(y) / sum(negative(j) for j in range(len(p)))


def nce(p, y):
    return normalized(ce, p, y)


def nfl(p, y, gamma):
    return normalized(fl, p, y, gamma=gamma)


def nmae(p, y):
    return normalized(mae, p, y)


def nrce(p, y):
    return normalized(rce, p, y, q_min=1e-4)


def nnce(p, y, p_min):
    return normalized_negative(ce, p, y, p_min)


def nnfl(p, y, gamma, p_min):
    return normalized_negative(fl, p, y, p_min, gamma=gamma)


def agce(p, y, a, q):
    return ((a + 1) ** q - (a + p[y]) ** q) / q


def aul(p, y, a, q):
    return ((a - p[y]) ** q - (a - 1) ** q) / q


def ael(p, y, a):
    return math.exp(-p[y] / a)


def anl_ce(p, y, alpha, beta, p_min):
    return alpha * nce(p, y) + beta * nnce(p, y, p_min)


def anl_fl(p, y, alpha, beta, gamma, p_min):
    return alpha * nfl(p, y, gamma) + beta * nnfl(p, y, gamma, p_min)


def apl(active, passive):
    """Eq. 4."""

    def loss(p, y, alpha, beta, **hyper_parameters):
        shared = {k: v for k, v in hyper_parameters.items() if k == "gamma"}
        rest = {k: v for k, v in hyper_parameters.items() if k != "gamma"}
        return alpha * active(p, y, **shared) + beta * passive(p, y, **rest)

    return loss


def half_mae(p, y):
    return 1 - p[y]


#: Row of the table -> the loss of one sample. Detached weights do not change the value.
LOSSES = {
    "ce": ce,
    "fl": fl,
    "mae": mae,
    "rce": rce,
    "gce": gce,
    "sce": sce,
    "phce": phce,
    "tce": tce,
    "nce": nce,
    "nfl": nfl,
    "nmae": nmae,
    "nrce": nrce,
    "nnce": nnce,
    "nnfl": nnfl,
    "agce": agce,
    "aul": aul,
    "ael": ael,
    "nce+mae": apl(nce, mae),
    "nce+rce": apl(nce, rce),
    "nfl+mae": apl(nfl, mae),
    "nfl+rce": apl(nfl, rce),
    "nce+agce": apl(nce, agce),
    "nce+aul": apl(nce, aul),
    "nce+ael": apl(nce, ael),
    "anl-ce": anl_ce,
    "anl-fl": anl_fl,
    "fl-published": fl,
    "mae-published": half_mae,
    "nfl-published": nfl,
    "nnfl-published": nnfl,
    "nce+mae-published": apl(nce, half_mae),
    "nfl+mae-published": apl(nfl, half_mae),
    "nfl+rce-published": apl(nfl, rce),
    "anl-fl-published": anl_fl,
}


def per_pixel(name, logits, labels, **hyper_parameters):
    """Loss of every pixel of `logits` (B, K, *S) and `labels` (B, *S)."""
    result = np.empty(labels.shape)
    for index in np.ndindex(labels.shape):
        p = softmax(logits[(index[0], slice(None), *index[1:])].astype(np.float64))
        result[index] = LOSSES[name](p, int(labels[index]), **hyper_parameters)
    return result


def entropy(probabilities):
    """Eq. 13 for probabilities (N, K)."""
    shares = probabilities.mean(0)
    return math.log(len(shares)) + sum(pi * math.log(pi) for pi in shares if pi > 0)
