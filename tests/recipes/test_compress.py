"""A run as a code: items through a file and back, and files that are refused."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from allegory.data import DataSpec
from allegory.likelihood.codec import pack, unpack
from allegory.models import LadderConfig
from allegory.networks import UNetConfig
from allegory.recipes import DiffusionConfig, PathConfig, Run, RunFolder
from allegory.recipes.compress import compress, decompress
from allegory.recipes.compressed import CodingConfig
from allegory.recipes.compressed_header import this_machine
from allegory.training import TrainingConfig

pytest.importorskip("constriction")
DATA = DataSpec((1, 4, 4), 0.0, 3.0, 4)
NETWORK = UNetConfig(channels=8, multipliers=(1, 2), blocks=1, attention=())
DIFFUSION = DiffusionConfig(
    NETWORK, PathConfig("linear", 6.0, -5.0), target="categorical", data_std=0.7
)


def run_folder(path, model=DIFFUSION, data=DATA, seed=0):
    """A run that was never trained, with weights that are not 0."""
    from safetensors.torch import save_file

    folder = RunFolder.create(path, Run("a", "b", model, TrainingConfig(steps=1)), data)
    torch.manual_seed(seed)
    built = model.build(data)
    state = {
        name: tensor + 0.02 * torch.randn_like(tensor)
        for name, tensor in built.state_dict().items()
    }
    save_file(state, path / "ema.safetensors")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return run_folder(tmp_path_factory.mktemp("run"))


def raw_items(count=7, data=DATA):
    torch.manual_seed(3)
    return torch.randint(0, data.levels, (count, *data.shape), dtype=torch.uint8)


@pytest.fixture(scope="module")
def packed(folder):
    return compress(folder, raw_items(), CodingConfig(steps=4, batch=3))


@pytest.mark.thorough
def test_items_come_back_with_dtype_and_order(folder, packed):
    assert torch.equal(decompress(folder, packed.content, "file"), raw_items())
    assert packed.items == 7 and packed.numbers == 7 * 16 and packed.evaluations <= 5
    assert packed.decode_seconds is not None and packed.gross_bits > packed.net_bits


@pytest.mark.thorough
@pytest.mark.parametrize("target", ["edm", "x0"])
def test_targets_without_logits_code_too(tmp_path, target):
    other = run_folder(tmp_path, replace(DIFFUSION, target=target))
    content = compress(other, raw_items(2), CodingConfig(steps=3)).content
    assert torch.equal(decompress(other, content, "file"), raw_items(2))


def test_a_ladder_codes_too(tmp_path):
    data = DataSpec((1, 8, 8), 0.0, 1.0, 2)
    other = run_folder(tmp_path, LadderConfig(((4, 1), (0, 2)), channels=(8, 8)), data)
    done = compress(other, raw_items(5, data), CodingConfig())
    assert (
        torch.equal(decompress(other, done.content, "file"), raw_items(5, data))
        and done.evaluations == 1
    )


def test_the_number_of_threads_is_set_and_put_back(folder, monkeypatch):
    """A file says how many threads it was made with; reading sets them, and only while it reads."""
    content, seen = compress(folder, raw_items(1), CodingConfig(steps=2, check=False)).content, []
    monkeypatch.setattr("allegory.recipes.compress.torch.set_num_threads", seen.append)
    monkeypatch.setattr("allegory.recipes.compress.torch.get_num_threads", lambda: 5)
    decompress(folder, content, "file")
    assert seen == [1, 5]


def test_another_model_is_named(tmp_path, packed):
    with pytest.raises(ValueError, match="made by another model"):
        decompress(run_folder(tmp_path, seed=1), packed.content, "file")


@pytest.mark.parametrize("place", [0, 9, 12, 40, -300, -1])
def test_an_altered_byte_is_noticed(folder, packed, place):
    content = bytearray(packed.content)
    content[place] ^= 64
    with pytest.raises(ValueError, match="altered"):
        decompress(folder, bytes(content), "file")


def test_a_cut_is_noticed(folder, packed):
    with pytest.raises(ValueError, match="cut short"):
        decompress(folder, packed.content[:-5], "file")


def test_other_floating_point_results_are_noticed(folder, packed, monkeypatch):
    """On another machine the network rounds otherwise: decoding says so, and names both."""
    from allegory.models.denoiser import Denoiser

    right = Denoiser.output
    monkeypatch.setattr(Denoiser, "output", lambda self, *given: right(self, *given) * (1 + 1e-3))
    machine = {
        "allegory": "9",
        "torch": "9.9",
        "processor": "z80",
        "threads": 1,
        "dtype": "torch.float32",
    }
    monkeypatch.setattr("allegory.recipes.compress.this_machine", lambda: machine)
    with pytest.raises(
        ValueError, match=r"torch .* there and 9.9 here.*decode it where it was made"
    ):
        decompress(folder, packed.content, "file")


MACHINE = this_machine()
UNREADABLE = "its header holds what"
MANY = "too many for"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"sizes": [-1]}, UNREADABLE),
        ({"sizes": []}, UNREADABLE),
        ({"sizes": [True]}, UNREADABLE),
        ({"sizes": [2**50]}, UNREADABLE),
        ({"sizes": {"1": 1}}, UNREADABLE),
        ({"sizes": [10**6]}, MANY),
        ({"sizes": [1] * 10**5}, MANY),
        ({"sizes": [101]}, "give --batch 101"),
        ({"bins": []}, UNREADABLE),
        ({"bins": [[]]}, UNREADABLE),
        ({"bins": [["-3"]]}, UNREADABLE),
        ({"bins": [[-101]]}, UNREADABLE),
        ({"bins": [[-3]] * 2}, "bins of 2 latents"),
        ({"bins": [[-3]] * 1001}, "bins: out of its range"),
        ({"bins": lambda bins: [[-3] * 15, *bins[1:]]}, "15 exponents"),
        ({"nodes": None}, UNREADABLE),
        ({"nodes": [3]}, UNREADABLE),
        ({"nodes": [5, 4, 3]}, UNREADABLE),
        ({"nodes": [0, 129]}, UNREADABLE),
        ({"nodes": [0, None]}, UNREADABLE),
        ({"nodes": ["0", "5"]}, UNREADABLE),
        ({"initial": 0}, UNREADABLE),
        ({"initial": 10**12}, MANY),
        ({"initial": 10**13}, UNREADABLE),
        ({"initial": 4.0}, UNREADABLE),
        ({"machine": {}}, UNREADABLE),
        ({"machine": []}, UNREADABLE),
        ({"machine": MACHINE | {"threads": 0}}, UNREADABLE),
        ({"machine": MACHINE | {"threads": 4096}}, UNREADABLE),
        ({"machine": MACHINE | {"threads": True}}, UNREADABLE),
        ({"machine": MACHINE | {"torch": "\x1b]0;owned\a"}}, UNREADABLE),
        ({"machine": MACHINE | {"torch": []}}, UNREADABLE),
        ({"items": -1}, UNREADABLE),
        ({"items": None}, UNREADABLE),
        ({"data": "digits"}, UNREADABLE),
        ({"model": 7}, UNREADABLE),
        ({"seed": "a"}, UNREADABLE),
        ({"seed": -1}, UNREADABLE),
        ({"seed": 2**64}, UNREADABLE),
        ({"seed": 10**4000}, "beyond 2.64"),
    ],
)
def test_a_header_made_to_harm_is_refused(folder, packed, wrong, said):
    container = unpack(packed.content, "file")
    ours = container.header
    new = {name: each(ours[name]) if callable(each) else each for name, each in wrong.items()}
    content = pack(replace(container, header={**ours, **new}))
    with pytest.raises(ValueError, match=said) as caught:
        decompress(folder, content, "file")
    assert str(caught.value).startswith("file: ") and len(str(caught.value)) < 300


@pytest.mark.parametrize("missing", ["model", "sizes", "nodes", "machine", "items"])
def test_a_header_that_lacks_a_value_is_refused(folder, packed, missing):
    container = unpack(packed.content, "file")
    header = {name: value for name, value in container.header.items() if name != missing}
    with pytest.raises(ValueError, match=UNREADABLE):
        decompress(folder, pack(replace(container, header=header)), "file")


def test_more_threads_than_a_machine_can_take_are_refused(folder, packed, monkeypatch):
    """So many threads end the process; those of a large machine are refused on a small one."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    container = unpack(packed.content, "file")
    header = {**container.header, "machine": MACHINE | {"threads": 129}}
    with pytest.raises(ValueError, match="129 threads, and this machine can take 128"):
        decompress(folder, pack(replace(container, header=header)), "file")


def test_a_file_of_larger_batches_is_read_on_request(folder, packed):
    largest = max(unpack(packed.content, "file").header["sizes"])
    with pytest.raises(ValueError, match=f"give --batch {largest}"):
        decompress(folder, packed.content, "file", batch=largest - 1)
    found = decompress(folder, packed.content, "file", batch=largest)
    assert torch.equal(found, raw_items())


def test_other_bits_end_decoding(folder, packed):
    """Random bits decode to items until they are used up, without a warning."""
    container = unpack(packed.content, "file")
    random = np.random.default_rng(0).integers(1, 2**32, len(container.words), dtype=np.uint32)
    for words in (random, random[:1], np.zeros(9, np.uint32), random[:0]):
        with warnings.catch_warnings(), pytest.raises(ValueError, match="file: "):
            warnings.simplefilter("error")
            decompress(folder, pack(replace(container, words=words)), "file")


def test_data_of_another_kind_are_refused(folder):
    for raw, match in (
        (raw_items()[:, :, :2], "items of shape"),
        (raw_items() + 1, "values in"),
        (raw_items().float() + 0.5 * (raw_items() == 0), "between the 4 levels"),
        (raw_items()[:0], "no items"),
    ):
        with pytest.raises(ValueError, match=match):
            compress(folder, raw, CodingConfig(steps=2))
    with pytest.raises(ValueError, match="steps=0"):
        compress(folder, raw_items(1), CodingConfig(steps=0))
    with pytest.raises(ValueError, match="batch=0"):
        compress(folder, raw_items(1), CodingConfig(steps=2, batch=0))


def test_continuous_data_are_explained(tmp_path):
    other = run_folder(tmp_path, replace(DIFFUSION, target="edm"), DataSpec((1, 4, 4), 0.0, 3.0))
    with pytest.raises(ValueError, match="continuous: a density is no code"):
        compress(other, raw_items().float(), CodingConfig())
