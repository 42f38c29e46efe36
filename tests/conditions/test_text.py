"""Text as rows, what a network reads of it, and what is said of words that it does not know."""

import json
import warnings

import pytest
import torch

from allegory.conditions import Combined, Labels, Text, hidden_like, rows_of
from allegory.data import DataSpec
from allegory.lookup import Note
from allegory.networks import MLPConfig, UNetConfig

CAPTIONS = ["A small red seven.", "a large blue one", "Öl-\x07Bild: blue"]
WORDS = Text.of(CAPTIONS)
SIGNS = Text.of(CAPTIONS, unit="character")


def test_words_and_characters_of_the_training_texts():
    assert WORDS.vocabulary == (
        "\x07", "-", ".", ":", "a", "bild", "blue", "large", "one", "red", "seven", "small", "öl",
    )  # fmt: skip
    assert (WORDS.length, SIGNS.length) == (6, 18)
    assert WORDS.encode("a RED one").tolist() == [6, 11, 10, 0, 0, 0]
    rows = rows_of(["A small red seven.", ""], 2, WORDS)
    assert WORDS.texts(rows) == ["a small red seven .", ""]
    assert SIGNS.texts(SIGNS.encode(["a large blue one"])) == ["a large blue one"]
    assert WORDS.texts(hidden_like(rows)) == ["hidden", "hidden"]


def test_the_most_common_words_are_kept():
    assert Text.of(["b b a", "a c b"], words=2).vocabulary == ("a", "b")


@pytest.mark.parametrize("kind", [WORDS, SIGNS])
def test_a_vocabulary_survives_json(kind):
    spec = DataSpec((2,), -1.0, 1.0, condition=Combined(("text", "who"), (kind, Labels(2))))
    assert DataSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_unknown_words_and_long_texts_are_told():
    with pytest.warns(Note, match=r"no training text had: 'sevn' \(did you mean 'seven'\?\), 'x'"):
        row = WORDS.encode("a sevn x")
    assert WORDS.texts(row[None]) == ["a ? ?"]
    with pytest.warns(Note, match=r"had: 'rde' \(did you mean 'red'\?\), 'green'; each is read"):
        WORDS.encode("rde green")
    with pytest.warns(Note, match="1 text of more than 6 words; the rest was cut"):
        assert WORDS.texts(WORDS.encode("red " * 7)[None]) == ["red red red red red red"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        WORDS.encode(CAPTIONS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_text_is_read_alone_as_in_a_batch_and_none_hides_it(dtype):
    network = UNetConfig(8, (1,), 1, ()).build((1, 4, 4), WORDS).to(dtype)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x, log_snr = torch.randn(3, 1, 4, 4, dtype=dtype), torch.zeros(3)
    rows = WORDS.encode(["a", "a small red seven .", "a large blue one"])
    together = network(x, log_snr, rows)
    for i in range(3):
        alone = network(x[[i]], log_snr[[i]], rows[[i]])
        tolerance = 1e-5 if dtype == torch.float32 else 0.1
        torch.testing.assert_close(alone, together[[i]], rtol=tolerance, atol=tolerance)
    assert torch.equal(network(x, log_snr, hidden_like(rows)), network(x, log_snr, None))
    assert not torch.equal(network(x, log_snr, rows), network(x, log_snr, None))


def test_the_order_of_words_and_what_is_beside_them_matter_but_not_what_follows_the_end():
    module = WORDS.module(8)
    features, embedding = torch.zeros(1, 1), torch.zeros(1, 8)

    def read(rows):
        return module(features, embedding, rows[None])[1]

    assert not torch.allclose(read(WORDS.encode("red blue")), read(WORDS.encode("blue red")))
    longer = Text(WORDS.vocabulary, 9).module(8)
    state = {**module.state_dict(), "places": torch.cat([module.places, torch.randn(3, 32)])}
    longer.load_state_dict(state)
    row = torch.cat([WORDS.encode("red blue"), torch.zeros(3, dtype=torch.int64)])
    found = longer(features, embedding, row[None])[1]
    torch.testing.assert_close(found, read(WORDS.encode("red blue")))


def test_a_map_of_the_text_joins_the_features():
    """It is the same within each cell of 4x4 pixels, and another in another cell."""
    module = WORDS.module(8, (8, 12))
    features, embedding = torch.randn(1, 2, 8, 12), torch.zeros(1, 8)
    joined, _ = module(features, embedding, WORDS.encode(["red"]))
    assert torch.equal(joined[:, :2], features) and joined.shape[1] == 2 + module.channels
    cells = joined[0, 2:].unflatten(1, (2, 4)).unflatten(3, (3, 4))
    assert torch.equal(cells, cells[:, :, :1, :, :1].expand_as(cells))
    assert len(cells[0, :, 0, :, 0].unique()) == 6


def test_gradients_reach_every_weight():
    network = MLPConfig(16, 1).build((2,), WORDS)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    rows = torch.cat([WORDS.encode(["a small red seven", ""]), torch.full((1, 6), -1)])
    network(torch.randn(3, 2), torch.zeros(3), rows).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Text((), 3), "the number of words=0"),
        (lambda: Text(("a", "a"), 3), "give each word once"),
        (lambda: Text(("a",), 10**9), "a length of at most 1,024"),
        (lambda: Text(("a",), 3, "sentence"), "unknown unit 'sentence'"),
        (lambda: Text.of(["", " "]), "texts without a word"),
        (lambda: WORDS.encode(7), "condition=7: give text"),
        (lambda: WORDS.encode([]), "give text"),
        (lambda: rows_of(["a", "b"], 3, WORDS), "for 3 items; give text of up to 6 words"),
    ],
)
def test_what_is_no_text_is_refused(make, says):
    with pytest.raises(ValueError, match=says), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        make()


def test_a_text_of_one_word_is_said_in_the_singular():
    assert str(Text.of(["cat", "dog"])) == "text of up to 1 word out of 2"
