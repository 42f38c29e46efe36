"""Text by an encoder of transformers: its vectors, what is refused, and what a network reads.

The encoders are tiny, of random weights, and made here: nothing is downloaded.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from allegory.conditions import EncodedText, Numbers, hidden_like, rows_of
from allegory.conditions.encoders import load_encoder
from allegory.data import DataSpec, load
from allegory.lookup import Note
from allegory.networks import MLPConfig, UNetConfig

transformers = pytest.importorskip(
    "transformers", reason="needs transformers: pip install '.[text]'"
)

WORDS = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "a", "small", "red", "blue", "seven", "one"]
TEXTS = ["a red seven", "a small blue one", "a", "", "a small red seven one blue", "a red seven"]


def bert():
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=9, hidden_dropout_prob=0.5,
    )  # fmt: skip
    return transformers.BertForMaskedLM(config)


def t5():
    config = transformers.T5Config(
        vocab_size=len(WORDS), d_model=12, d_kv=4, d_ff=16, num_layers=2, num_heads=2,
        dropout_rate=0.5, pad_token_id=3, eos_token_id=2, decoder_start_token_id=3,
    )  # fmt: skip
    return transformers.T5ForConditionalGeneration(config)


def clip():
    text = {"vocab_size": len(WORDS), "hidden_size": 8, "num_hidden_layers": 1,
            "num_attention_heads": 2, "intermediate_size": 8, "max_position_embeddings": 9,
            "eos_token_id": 2, "bos_token_id": 1}  # fmt: skip
    vision = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
              "intermediate_size": 8, "image_size": 8, "patch_size": 8}  # fmt: skip
    return transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=vision))


def gpt():
    config = transformers.GPT2Config(
        vocab_size=len(WORDS), n_embd=8, n_layer=1, n_head=2, n_positions=9, bos_token_id=1,
        eos_token_id=2,
    )  # fmt: skip
    return transformers.GPT2Model(config)


def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, "[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]"
    )


def saved(make, folder, seed=0):
    """The folder of an encoder with random weights."""
    torch.manual_seed(seed)
    make().save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=[bert, t5, clip, gpt], ids=lambda make: make.__name__)
def any_kind(request, tmp_path_factory):
    return EncodedText.of(str(saved(request.param, tmp_path_factory.mktemp("encoder"))))


@pytest.fixture(scope="module")
def kind(tmp_path_factory):
    return EncodedText.of(str(saved(bert, tmp_path_factory.mktemp("bert"))))


def test_a_row_is_the_mean_of_the_last_hidden_states_without_dropout(kind):
    model = transformers.BertModel.from_pretrained(kind.encoder).eval()
    ids = torch.tensor([[1, 4, 6, 8, 2]])  # [CLS] a red seven [SEP]
    expected = model(ids).last_hidden_state.mean(1)
    torch.testing.assert_close(kind.encode(["a red seven"]), expected)


def test_a_text_is_encoded_alone_as_in_a_batch(any_kind):
    together = any_kind.encode(TEXTS)
    assert together.dtype == torch.float32 and not together.requires_grad
    assert torch.equal(together[0], together[5])
    assert not torch.allclose(together[0], together[1])
    for text, row in zip(TEXTS, together, strict=True):
        torch.testing.assert_close(any_kind.encode(text), row, rtol=1e-6, atol=1e-6)


def test_the_kind_survives_json_and_encodes_the_same(any_kind):
    spec = DataSpec((2,), -1.0, 1.0, condition=any_kind)
    read = DataSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert read == spec
    load_encoder.cache_clear()
    assert torch.equal(rows_of(TEXTS, 6, read.given), any_kind.encode(TEXTS))


def test_another_encoder_under_the_same_name_is_refused(tmp_path):
    folder = saved(bert, tmp_path / "encoder")
    kind = EncodedText.of(str(folder))
    copy = shutil.copytree(folder, tmp_path / "copy")
    saved(bert, folder, seed=1)
    load_encoder.cache_clear()
    with pytest.raises(ValueError, match=f"and the model learned with {kind.hash}"):
        kind.encode("a")
    assert EncodedText.of(str(folder)).hash != kind.hash
    moved = replace(kind, encoder=str(copy))
    assert moved.encode("a").shape == (16,)


def test_another_vocabulary_is_another_encoder(tmp_path, monkeypatch):
    first = EncodedText.of(str(saved(bert, tmp_path / "first")))
    monkeypatch.setitem(globals(), "WORDS", [*WORDS[:4], *reversed(WORDS[4:])])
    second = EncodedText.of(str(saved(bert, tmp_path / "second")))
    assert first.hash != second.hash


def test_unknown_words_and_long_texts_are_told(kind):
    with pytest.warns(Note, match=r"not in the vocabulary of .*: 'green', 'two'; each is read"):
        kind.encode(["a green one", "two green"])
    with pytest.warns(Note, match="1 text of more than 9 tokens; the rest was cut"):
        long = kind.encode(["a " * 8, "red"])
    assert torch.equal(long[0], kind.encode("a " * 7))
    with pytest.warns(Note, match="more than 4 tokens"):
        short = replace(kind, length=4).encode("a red one")
    torch.testing.assert_close(short, kind.encode("a red"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_network_reads_it_and_none_hides_it(kind, dtype):
    network = UNetConfig(8, (1,), 1, ()).build((1, 4, 4), kind).to(dtype)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x, log_snr, rows = torch.randn(3, 1, 4, 4, dtype=dtype), torch.zeros(3), kind.encode(TEXTS[:3])
    assert torch.equal(network(x, log_snr, hidden_like(rows)), network(x, log_snr, None))
    assert not torch.equal(network(x, log_snr, rows), network(x, log_snr, None))


def test_gradients_reach_every_weight_past_a_hidden_row(kind):
    network = MLPConfig(16, 1).build((2,), kind)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    rows = torch.cat([kind.encode(TEXTS[:2]), torch.full((1, 16), torch.nan)])
    network(torch.randn(3, 2), torch.zeros(3), rows).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_what_cannot_be_read_is_refused_in_one_line(tmp_path, kind):
    folder = saved(bert, tmp_path / "other")
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"encoder .*other: .*; give the folder or the name"):
        EncodedText.of(str(folder))
    with pytest.raises(ValueError, match="encoder /no/such: no such folder; give the folder"):
        load_encoder("/no/such")
    with pytest.raises(ValueError, match=r"encoder no such: .*; give the folder"):
        EncodedText.of("no such")


def test_a_name_is_read_from_the_local_cache_and_else_downloaded(tmp_path, monkeypatch):
    import huggingface_hub

    calls = []

    def download(name, allow_patterns, local_files_only=False):
        calls.append(local_files_only)
        if name == "tiny/here" or not (name == "tiny/nowhere" or local_files_only):
            return str(folder)
        raise huggingface_hub.errors.LocalEntryNotFoundError("long story")

    folder = saved(bert, tmp_path / "encoder")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    here = EncodedText.of("tiny/here")
    assert (here.encoder, calls) == ("tiny/here", [True])
    assert EncodedText.of("tiny/there").hash == here.hash and calls[1:] == [True, False]
    with pytest.raises(ValueError, match="encoder tiny/nowhere: not in the local cache, and"):
        EncodedText.of("tiny/nowhere")


def test_missing_weights_are_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = saved(bert, tmp_path / "encoder")
    weights = load_file(folder / "model.safetensors")
    del weights["bert.encoder.layer.1.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"lack 1 weights, such as .*layer.1.output.dense"):
        EncodedText.of(str(folder))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda kind: replace(kind, dim=0), "dim=0"),
        (lambda kind: replace(kind, dim=10**9), "a dim of at most 65,536"),
        (lambda kind: replace(kind, hash="x"), r"make this kind by EncodedText.of\(NAME\)"),
        (lambda kind: EncodedText.of(["a red one"]), "give a folder, or a name"),
        (lambda kind: kind.encode(7), "condition=7: give text"),
        (lambda kind: rows_of(["a", "b"], 3, kind), "for 3 items; give text by "),
    ],
)
def test_other_values_are_refused(make, says, kind):
    with pytest.raises(ValueError, match=says):
        make(kind)


def test_files_of_arrays_and_captions_are_read_by_an_encoder(kind, tmp_path, monkeypatch):
    texts, x = np.array(TEXTS * 10), np.arange(120.0).reshape(60, 2)
    np.savez(tmp_path / "one.npz", x=x, captions=texts)
    alone = load(f"{tmp_path / 'one.npz'}?encoder={kind.encoder}")
    assert alone.spec.given == kind
    index = alone.train.index
    monkeypatch.chdir(Path(kind.encoder).parent)
    near = load(f"{tmp_path / 'one.npz'}?encoder={Path(kind.encoder).name}")
    assert near.source == alone.source
    said = [text or None for text in texts[index].tolist()]  # an empty cell is a missing caption
    rows = torch.stack(
        [hidden_like(torch.zeros(kind.dim)) if s is None else kind.encode(s) for s in said]
    )
    torch.testing.assert_close(alone.train.given, rows, equal_nan=True)

    np.savez(tmp_path / "two.npz", x_train=x, condition_say_train=texts, condition_n_train=x)
    several = load(f"{tmp_path / 'two.npz'}?encoder={kind.encoder}").spec.given
    assert several.names == ("n", "say") and isinstance(several.parts[0], Numbers)
    assert several.parts[1] == replace(kind, dropout=0.1)
    with pytest.raises(ValueError, match="no condition is text"):
        np.savez(tmp_path / "none.npz", x=x)
        load(f"{tmp_path / 'none.npz'}?encoder={kind.encoder}")

    with pytest.warns(Note, match="not in the vocabulary"):
        drawn = load(f"captions?count=100&encoder={kind.encoder}")
    assert drawn.train.given.shape == (100, 16)
