"""`compress` and `decompress` as a user meets them: a file, its figures, its errors."""

import json
import shutil

import numpy as np
import pytest

from allegory.cli import main
from allegory.data import load

pytest.importorskip("constriction")
pytest.importorskip("sklearn")
QUICK = ("--steps", "2", "--limit", "3", "--no-check")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "digits"
    main(["train", "digits", "--steps", "2", "--out", str(out)])
    return out


@pytest.fixture(scope="module")
def packed(trained):
    main(["compress", str(trained), "digits", str(trained / "d.bin"), *QUICK])
    return trained / "d.bin"


@pytest.mark.thorough
def test_digits_go_through_a_file_and_back(trained, packed, tmp_path):
    out = tmp_path / "d.npy"
    main(["decompress", str(trained), str(packed), str(out)])
    assert np.array_equal(np.load(out), load("digits").test.x[:3].numpy())
    again = tmp_path / "again.bin"
    main(["compress", str(trained), str(out), str(again), *QUICK])
    assert again.read_bytes() == packed.read_bytes()


def test_figures_are_json(trained, tmp_path, capsys):
    main(["compress", str(trained), "digits", str(tmp_path / "d.bin"), *QUICK, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["items"] == 3 and found["raw bytes"] == 3 * 64 * 5 / 8  # 17 levels take 5 bits
    assert found["file bytes"] == (tmp_path / "d.bin").stat().st_size
    assert found["net bits/dim"] == pytest.approx(8 * found["net bytes"] / 192, abs=8 / 192)
    assert found["seconds per item to decode"] is None
    assert {"bz2", "xz", "gzip", "PNG, a file each", "WebP, one sheet"} <= set(
        found["others, bytes"]
    )


def test_nothing_is_written_where_something_is_wrong(trained, packed, tmp_path, fails):
    out = tmp_path / "out.npy"
    damaged = tmp_path / "damaged.bin"
    content = bytearray(packed.read_bytes())
    content[-20] ^= 1
    damaged.write_bytes(content)
    assert "altered" in fails("decompress", trained, damaged, out)
    damaged.write_bytes(packed.read_bytes()[:-9])
    assert "cut short" in fails("decompress", trained, damaged, out)
    damaged.write_text("hello")
    assert "not a file that" in fails("decompress", trained, damaged, out)
    other = tmp_path / "other"
    main(["train", "digits", "--steps", "1", "--out", str(other)])
    assert "made by another model" in fails("decompress", other, packed, out)
    assert not out.exists() and not out.with_name("out.npy.new").exists()


def test_mistakes_have_one_line(trained, packed, tmp_path, fails):
    out = tmp_path / "o.bin"
    assert "--overwrite" in fails("compress", trained, "digits", packed)
    assert "no such folder" in fails("compress", trained, "digits", tmp_path / "no" / "o.bin")
    assert "no such file" in fails("compress", trained, tmp_path / "no.npy", out)
    assert "not what the run was trained on" in fails("compress", trained, "moons", out)
    assert "--part" in fails("compress", trained, "digits", out, "--part", "tset")
    assert "--limit 0" in fails("compress", trained, "digits", out, "--limit", "0")
    assert "steps=500" in fails(
        "compress", trained, "digits", out, "--steps", "500", "--limit", "1"
    )
    np.save(tmp_path / "x.npy", np.full((2, 8, 8), 99, dtype=np.uint8))
    assert "values in [99, 99]" in fails("compress", trained, tmp_path / "x.npy", out)
    assert ".npy" in fails("decompress", trained, packed, tmp_path / "o.png")
    assert "no such file" in fails("decompress", trained, tmp_path / "no.bin", tmp_path / "o.npy")
    shutil.copy(packed, out)
    assert "exists already" in fails("decompress", trained, packed, out)


def test_an_interruption_after_writing_says_so(trained, tmp_path, monkeypatch, capsys):
    def stop(index):
        raise KeyboardInterrupt

    monkeypatch.setattr("allegory.evaluation.reference_codecs.other_codecs", stop)
    with pytest.raises(SystemExit) as end:
        main(["compress", str(trained), "digits", str(tmp_path / "d.bin"), *QUICK])
    assert end.value.code == 130 and "d.bin is written and whole" in capsys.readouterr().err
    assert (tmp_path / "d.bin").is_file()


def test_the_weights_are_those_that_are_named(trained, packed, tmp_path, fails):
    out = tmp_path / "last.bin"
    main(["compress", str(trained), "digits", str(out), "--weights", "last", *QUICK])
    assert out.read_bytes() != packed.read_bytes()
    said = fails("decompress", trained, out, tmp_path / "a.npy")
    assert "the weights (best, ema, last) that it was made with" in said
    main(["decompress", str(trained), str(out), str(tmp_path / "a.npy"), "--weights", "last"])
    assert np.array_equal(np.load(tmp_path / "a.npy"), load("digits").test.x[:3].numpy())
