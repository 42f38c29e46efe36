"""Data under the description of a run: classes and columns by name, ranges, notes, fingerprints."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from allegory.data import Dataset, DataSpec, load

RNG = np.random.default_rng(0)
X = RNG.normal(2, 3, (60, 2))
CATS = np.array(["cat", "dog"])[np.arange(60) % 2]


def dataset(x=X, labels=None, **declared):
    return Dataset.from_arrays(x, labels, **declared)


def test_new_numbers_are_scaled_as_those_of_the_run():
    """Its range is no law: other numbers, beyond it too, are evaluated in its units."""
    run, new = dataset().spec, dataset(10 * X)
    again = new.as_spec(run)
    assert again.spec == run and again.spec != new.spec
    assert torch.equal(again.test.x, new.test.x)
    assert new.as_spec(new.spec) is new


def test_classes_are_found_by_their_value():
    run = dataset(labels=CATS).spec
    new = dataset(labels=np.where(CATS == "cat", "dog", "cat"))
    again = new.as_spec(run)
    for part, was in zip(again.sets, new.sets, strict=True):
        assert run.class_values(part.labels).tolist() == new.spec.class_values(was.labels).tolist()
    dogs = dataset(labels=["dog"] * 60).as_spec(run)
    assert dogs.test.labels.tolist() == [1, 1, 1]

    with pytest.raises(ValueError, match="class zebra: not known; the classes are cat, dog; leave"):
        dataset(labels=np.where(CATS == "cat", "dog", "zebra")).as_spec(run)


def test_gaps_and_counted_classes_meet():
    """0 and 7 of ten digits; the folders "0" to "9" and the numbers."""
    digits = replace(dataset().spec, classes=10)
    new = dataset(labels=np.array([0, 7])[np.arange(60) % 2])
    assert set(new.as_spec(digits).train.labels.tolist()) == {0, 7}
    folders = dataset(labels=np.array(["0", "7"])[np.arange(60) % 2])
    assert set(folders.as_spec(digits).train.labels.tolist()) == {0, 7}
    with pytest.raises(ValueError, match="class 1, 3: not known; the classes are 0, 7"):
        replace(new, spec=digits, test=replace(new.test, labels=torch.full((3,), 3))).as_spec(
            new.spec
        )


def test_labels_on_one_side_are_left_out_with_a_note():
    labelled, plain = dataset(labels=CATS), dataset()
    found = plain.as_spec(replace(plain.spec, classes=2))
    assert found.test.labels is None and "have no labels" in found.notes[0]
    found = labelled.as_spec(plain.spec)
    assert found.test.labels is None and "learned no classes" in found.notes[0]


def test_columns_are_found_by_their_name():
    run = dataset(columns=("a", "b")).spec
    new = dataset(X[:, ::-1].copy(), columns=("b", "a")).as_spec(run)
    assert torch.equal(new.test.x, dataset().test.x)
    assert dataset().as_spec(run).spec.columns == ("a", "b")  # without names: by place
    for names, says in (
        (("a", "c"), "columns a, c, and the run learned a, b; add 'b'"),
        (("A", "B"), "add 'a'"),
    ):
        with pytest.raises(ValueError, match=says):
            dataset(columns=names).as_spec(run)
    with pytest.raises(ValueError, match="learned a, b; leave 'c' out"):
        dataset(np.c_[X, X[:, 0]], columns=("a", "b", "c")).as_spec(run)


@pytest.mark.parametrize(
    ("new", "run", "says"),
    [
        (dataset(X[:, :1]), dataset().spec, r"items of shape \(1,\), and the run learned \(2,\)"),
        (dataset(X > 0), dataset().spec, "2 levels, and the run learned continuous numbers"),
        (dataset(), DataSpec((2,), 0.0, 16.0, 17), "values in .* outside"),
        (dataset(X > 0), DataSpec((2,), 0.0, 16.0, 17), "2 levels, and the run learned 17 levels"),
        (dataset(), DataSpec((2,), 0.0, 1.0, bounded=True), r"outside \[0, 1\]"),
    ],
)
def test_what_does_not_fit_is_refused(new, run, says):
    with pytest.raises(ValueError, match=says):
        new.as_spec(run)


def test_levels_of_the_run_need_not_be_declared_again():
    whole = RNG.integers(0, 17, (60, 4))
    run = dataset(whole, levels=17).spec
    for new in (dataset(whole), dataset(whole.astype(np.uint8)), dataset(whole.astype(float))):
        found = new.as_spec(run)
        assert found.test.x.dtype == torch.uint8 and found.spec == run
    with pytest.raises(ValueError, match="values between the 17 levels"):
        dataset(whole + 0.25 * (whole < 3)).as_spec(run)


def test_a_fingerprint_is_that_of_the_content(tmp_path):
    for name in ("a", "b"):
        np.savez(tmp_path / f"{name}.npz", x=X, labels=CATS)
    a, b = (load(str(tmp_path / f"{name}.npz")) for name in ("a", "b"))
    assert a.fingerprint == b.fingerprint and a.fingerprint.startswith("60 ")

    others = [
        replace(a, train=replace(a.train, labels=1 - a.train.labels)),
        replace(a, train=replace(a.train, x=a.train.x.double())),
        replace(a, train=replace(a.train, stored=a.train.x)),
        replace(a, train=a.test, test=a.train),
        replace(a, test=replace(a.test, x=a.test.x + torch.tensor([0.0, 1e-6]))),
        a.as_spec(replace(a.spec, class_names=("dog", "cat"))),
    ]
    prints = {a.fingerprint, *(each.fingerprint for each in others)}
    assert len(prints) == 7


def test_a_fingerprint_is_taken_in_parts(monkeypatch):
    whole = dataset()
    monkeypatch.setattr("allegory.data.fingerprint._CHUNK", 16)
    parts = replace(whole)
    assert parts.fingerprint == whole.fingerprint
