"""Metrics of some cases by their definitions, with numpy in float64.

    python make.py          # with numpy 2.4; writes metrics.json

Where scikit-learn 1.7 and scipy are installed, their numbers must be the same. Ties and edges are what the cases are about:
probabilities on the bins' very edges, equal ones of which only some hit, classes that nobody has or that nothing was taken for.
"""

import json
import pathlib

import numpy as np

here = pathlib.Path(__file__).parent


def division(bins):
    return np.arange(bins + 1) / bins


def gaps_fixed(values, hits, bins):
    """(count, |mean hit - mean value|) of every bin that holds something; bin k is (edge k, edge k+1], 0 in the first."""
    place = np.clip(np.digitize(values, division(bins), right=True) - 1, 0, bins - 1)
    members = [place == k for k in range(bins)]
    return [(m.sum(), abs(hits[m].mean() - values[m].mean())) for m in members if m.any()]


def gaps_equal(values, hits, bins):
    order = np.argsort(values, kind="stable")
    values, hits = values[order], hits[order]
    size = len(values) // bins
    ends = [k * size for k in range(bins)] + [len(values)]
    slices = [slice(a, b) for a, b in zip(ends, ends[1:]) if b > a]
    return [(s.stop - s.start, abs(hits[s].mean() - values[s].mean())) for s in slices]


def weighted(gaps):
    count = sum(n for n, _ in gaps)
    return float(sum(n * gap for n, gap in gaps) / count) if count else 0.0


def calibration(p, y, bins, thresholds=(0.01, 0.001, 0.0001)):
    classes = p.shape[1]
    confidence, hit = p.max(1), (p.argmax(1) == y).astype(float)
    truth = np.eye(classes)[y]
    fixed = gaps_fixed(confidence, hit, bins)
    flat, flat_truth = p.ravel(), truth.ravel()
    return {
        "bins": bins,
        "ece": weighted(fixed),
        "mce": float(max(gap for _, gap in fixed)),
        "classwise_ece": float(np.mean([weighted(gaps_fixed(p[:, c], truth[:, c], bins)) for c in range(classes)])),
        "ace": weighted(gaps_equal(confidence, hit, bins)),
        "classwise_ace": float(np.mean([weighted(gaps_equal(p[:, c], truth[:, c], bins)) for c in range(classes)])),
        "tace": [weighted(gaps_equal(flat[flat >= t], flat_truth[flat >= t], bins)) for t in thresholds],
        "brier": float(((p - truth) ** 2).sum(1).mean()),
    }


def ratio(a, b):
    return float(a / b) if b else 0.0


def choice(p, y):
    classes, taken = p.shape[1], p.argmax(1)
    table = np.zeros((classes, classes), int)
    np.add.at(table, (y, taken), 1)
    right, is_so, called = np.diag(table), table.sum(1), table.sum(0)
    scores = {
        "precision": [ratio(a, b) for a, b in zip(right, called)],
        "recall": [ratio(a, b) for a, b in zip(right, is_so)],
        "f1": [ratio(2 * a, b + c) for a, b, c in zip(right, is_so, called)],
    }
    seen = is_so + called > 0
    result = {
        "accuracy": float((taken == y).mean()),
        "macro_f1": float(np.array(scores["f1"])[seen].mean()),
        **scores,
        "support": is_so.tolist(),
        "confusion": table.tolist(),
    }
    compare_with_sklearn(result, y, taken, classes)
    return result


def compare_with_sklearn(result, y, taken, classes):
    try:
        from sklearn import metrics
    except ImportError:
        return
    labels = range(classes)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(y, taken, labels=labels, zero_division=0)
    for name, other in [("precision", precision), ("recall", recall), ("f1", f1), ("support", support)]:
        assert np.allclose(result[name], other, rtol=1e-14, atol=0), name
    assert np.isclose(result["macro_f1"], metrics.f1_score(y, taken, average="macro"), rtol=1e-14, atol=0)
    assert np.isclose(result["accuracy"], metrics.accuracy_score(y, taken), rtol=1e-14, atol=0)
    assert result["confusion"] == metrics.confusion_matrix(y, taken, labels=labels).tolist()
    print("scikit-learn agrees")


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def classification():
    random = np.random.default_rng(5)
    edges = np.array([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    on_edges = np.stack([edges, edges[::-1]], 1).repeat(3, 0)
    sure = np.eye(4)[[0, 1, 2, 3, 2, 1]]
    cases = {
        "drawn": (softmax(2 * random.normal(size=(60, 4))), random.integers(0, 4, 60), 10),
        "on the edges": (on_edges, random.integers(0, 2, len(on_edges)), 10),
        "on the edges of seven bins": (
            np.stack([np.arange(8) / 7, 1 - np.arange(8) / 7], 1), np.array([0, 1, 1, 0, 1, 0, 0, 0]), 7),
        "all alike": (np.full((12, 3), [0.25, 0.5, 0.25]), np.array([1, 1, 0, 2, 1, 0, 1, 1, 2, 1, 0, 1]), 5),
        "ties of the first place": (np.full((9, 3), 1 / 3), np.array([0, 1, 2, 0, 0, 1, 2, 2, 2]), 10),
        "right and sure": (sure, np.array([0, 1, 2, 3, 2, 1]), 10),
        "wrong and sure": (sure, np.array([1, 2, 3, 0, 3, 2]), 10),
        "classes that nobody has": (
            softmax(np.array([[3.0, 1, 0, 0, -9], [2, 3, 0, 0, -9], [0, 0, 3, 0, -9], [1, 2, 0, 0, -9]])), np.array([0, 0, 1, 1]), 10),
        "one example": (np.array([[0.2, 0.8]]), np.array([0]), 10),
        "one bin": (softmax(random.normal(size=(25, 3))), random.integers(0, 3, 25), 1),
        "more bins than examples": (softmax(random.normal(size=(7, 3))), random.integers(0, 3, 7), 20),
    }
    return [
        {"name": name, "probabilities": p.tolist(), "labels": y.tolist(), **choice(p, y), "calibration": calibration(p, y, bins)}
        for name, (p, y, bins) in cases.items()
    ]


def ranks(x):
    """From 1; equal numbers share the mean of their places."""
    return np.array([(x < v).sum() + ((x == v).sum() + 1) / 2 for v in x])


def correlation(a, b):
    if (a == a[0]).all() or (b == b[0]).all():
        return None
    # By a power of two, so that squares of large numbers fit.
    a, b = (np.ldexp(x, -np.frexp(abs(x).max())[1]) for x in (a, b))
    a, b = a - a.mean(), b - b.mean()
    return float((a / np.linalg.norm(a)) @ (b / np.linalg.norm(b)))


def regression():
    random = np.random.default_rng(6)
    x = random.normal(size=40)
    cases = {
        "drawn": (x, 0.6 * x + 0.8 * random.normal(size=40)),
        "ties": (np.array([1.0, 2, 2, 3, 3, 3, 4]), np.array([2.0, 1, 1, 5, 4, 5, 5])),
        "opposite": (np.array([1.0, 2, 4]), np.array([3.0, 1, -3])),
        "constant": (np.array([2.0, 2, 2]), np.array([1.0, 2, 3])),
        "one": (np.array([2.0]), np.array([1.5])),
        "far from zero": (1e9 + np.arange(5.0) ** 2, np.array([0.5, 0.25, 1, 2, 8])),
        "large": (np.array([1e150, -3e150, 2e150]), np.array([1.0, 5, 2])),
    }
    result = []
    for name, (a, b) in cases.items():
        case = {
            "name": name, "predictions": a.tolist(), "targets": b.tolist(), "mse": float(((a - b) ** 2).mean()),
            "pearson": correlation(a, b), "spearman": correlation(ranks(a), ranks(b)),
        }
        compare_with_scipy(case, a, b)
        result.append(case)
    return result


def compare_with_scipy(case, a, b):
    try:
        from scipy import stats
    except ImportError:
        return
    if case["pearson"] is None:
        return
    assert np.isclose(case["pearson"], stats.pearsonr(a, b).statistic, rtol=1e-9), case["name"]
    assert np.isclose(case["spearman"], stats.spearmanr(a, b).statistic, rtol=1e-9), case["name"]
    print("scipy agrees")


def retrieval():
    random = np.random.default_rng(7)
    cases = [(random.integers(0, 200, 50), 200), (np.zeros(4, int), 1), (np.array([0, 9, 10, 99]), 100)]
    return [
        {
            "ranks": r.tolist(), "candidates": n, "accuracy_at_1": float((r < 1).mean()), "accuracy_at_10": float((r < 10).mean()),
            "mean_reciprocal_rank": float((1 / (r + 1)).mean()),
        }
        for r, n in cases
    ]


def main():
    with open(here / "metrics.json", "w") as out:
        parts = [("classification", classification()), ("regression", regression()), ("retrieval", retrieval())]
        # A case a line, so that changes can be read.
        lists = [f'"{name}": [\n' + ",\n".join(json.dumps(case) for case in cases) + "\n]" for name, cases in parts]
        out.write("{" + ",\n".join(lists) + "}\n")


if __name__ == "__main__":
    main()
