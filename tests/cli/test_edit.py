"""`allegory edit`: what it writes, each picture by itself, and one line for each mistake."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from allegory.cli import main
from allegory.recipes.edit import variations

MEASURED = ("inpaint", "superres", "deblur", "denoise")
QUICK = ("--steps", "2", "--count", "2")


@pytest.fixture(scope="module")
def pictures(small_run, tmp_path_factory):
    """Three pictures of the run's data as files: the folder, and their numbers."""
    folder = tmp_path_factory.mktemp("pictures")
    x = np.load(small_run[1])["x"][:3]
    for i, each in enumerate(x):
        Image.fromarray(each[0]).save(folder / f"item{i}.png")
    return folder, x


def run(capsys, *words):
    capsys.readouterr()
    main([str(word) for word in ("edit", *words, "--json")])
    return json.loads(capsys.readouterr().out)


def mask_of(task):
    return ("--mask", "lower") if task == "inpaint" else ()


@pytest.mark.parametrize("task", MEASURED)
def test_a_measured_task_from_the_whole_picture(small_run, pictures, tmp_path, capsys, task):
    out = tmp_path / "edits.npz"
    words = ["--task", task, "--degrade", *mask_of(task), *QUICK, "--method", "pigdm"]
    words += ["--factor", "2"] if task == "superres" else []
    said = run(capsys, small_run[0], "--input", pictures[0], *words, "--out", out)
    assert said["pictures"] == 3 and said["edits"] == 2 and said["method"] == "pigdm"
    assert said["noise"] == (51.0 if task == "denoise" else 255 / 40)
    found = np.load(out)
    assert found["x"].shape == (3, 2, 1, 4, 4) and found["x"].dtype == np.uint8
    np.testing.assert_array_equal(found["original"], pictures[1])
    np.testing.assert_allclose(found["mean"], found["x"].astype(float).mean(1))
    np.testing.assert_allclose(found["std"], found["x"].astype(float).std(1, ddof=1))
    assert found["input"].shape == ((3, 1, 2, 2) if task == "superres" else (3, 1, 4, 4))
    assert said["std"] == pytest.approx(found["std"].mean())


def test_the_edits_of_a_picture_do_not_depend_on_the_others(small_run, pictures, tmp_path, capsys):
    """Nor does it matter whether they are made at once."""
    words = ["--task", "inpaint", "--mask", "left", *QUICK, "--method", "pigdm"]
    folder = pictures[0]
    run(capsys, small_run[0], "--input", folder, *words, "--out", tmp_path / "all.npy")
    one = ["--input", folder / "item1.png", "--batch", "1", "--seeds", "1:2"]
    run(capsys, small_run[0], *one, *words[:-4], "--out", tmp_path / "one.npy", *words[-4:])
    np.testing.assert_array_equal(
        np.load(tmp_path / "one.npy")[0, 0], np.load(tmp_path / "all.npy")[1, 1]
    )


def test_what_is_under_the_mask_does_not_matter(small_run, pictures, tmp_path, capsys):
    x = pictures[1].copy()
    words = ["--task", "inpaint", *QUICK, "--method", "pigdm", "--mask", tmp_path / "mask.png"]
    mask = np.zeros((4, 4), np.uint8)
    mask[:, 1:3] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", x)
        source = ["--input", tmp_path / f"{name}.npy"]
        run(capsys, small_run[0], *source, *words, "--out", tmp_path / f"{name}.npz")
        x[:, :, :, 1:3] = 7
    a, b = (np.load(tmp_path / f"{name}.npz") for name in "ab")
    np.testing.assert_array_equal(a["x"], b["x"])
    np.testing.assert_array_equal(a["missing"], mask == 255)
    assert (a["input"][:, :, :, 1:3] == 0).all() and (a["input"][:, :, :, 0] == x[:, :, :, 0]).all()


def test_files_and_arrays_are_the_same_pictures(small_run, pictures, tmp_path, capsys):
    folder, x = pictures
    np.save(tmp_path / "x.npy", x[:, 0])
    words = ["--task", "variations", *QUICK, "--strength", "0.3"]
    for name, source in (("files", [folder]), ("array", [tmp_path / "x.npy"])):
        given = [word for each in source for word in ("--input", each)]
        run(capsys, small_run[0], *given, *words, "--out", tmp_path / f"{name}.npz")
    files, array = (np.load(tmp_path / f"{name}.npz") for name in ("files", "array"))
    np.testing.assert_array_equal(files["x"], array["x"])
    np.testing.assert_array_equal(files["input"], x)


def test_the_size_of_the_input_says_the_factor(small_run, tmp_path, capsys):
    Image.fromarray(np.full((2, 2), 128, np.uint8)).save(tmp_path / "small.png")
    words = ["--task", "superres", *QUICK, "--method", "pigdm"]
    out = tmp_path / "x.npy"
    run(capsys, small_run[0], "--input", tmp_path / "small.png", *words, "--out", out)
    assert np.load(out).shape == (1, 2, 1, 4, 4)


def test_a_picture_and_folders(small_run, pictures, tmp_path, capsys):
    run_folder, folder = small_run[0], pictures[0]
    words = ["--task", "variations", *QUICK, "--input", folder]
    said = run(capsys, run_folder, *words)
    assert said["file"].endswith("samples/edits-1.png")
    with Image.open(said["file"]) as image:
        assert image.width > 1000

    run(capsys, run_folder, *words, "--seeds", "5:7", "--out", tmp_path / "drawn")
    names = sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.png"))
    assert names == [f"drawn/item{i}/00000{seed}.png" for i in range(3) for seed in (5, 6)]


def test_inversion_has_an_edit_per_condition(small_run, pictures, tmp_path, capsys):
    run_folder, folder = small_run[0], pictures[0]
    words = ["--task", "invert", "--steps", "4", "--input", folder, "--source", "1"]
    said = run(capsys, run_folder, *words, "--out", tmp_path / "all.npz")
    assert said["edits"] == 2 and said["conditions"] == "0, 1"
    both = np.load(tmp_path / "all.npz")["x"]
    more = ["--condition", "1", "--condition", "none"]
    said = run(capsys, run_folder, *words, *more, "--out", tmp_path / "one.npz")
    one = np.load(tmp_path / "one.npz")
    np.testing.assert_array_equal(one["x"][:, 0], both[:, 1])
    assert said["edits"] == 2 and "mean" not in one


def test_interpolation_ends_at_the_pictures(small_run, pictures, tmp_path, capsys):
    out = tmp_path / "way.npy"
    words = ["--task", "interpolate", "--steps", "60", "--count", "3", "--solver", "auto"]
    said = run(capsys, small_run[0], "--input", pictures[0], *words, "--out", out)
    found, x = np.load(out), pictures[1].astype(int)
    assert found.shape == (2, 3, 1, 4, 4) and said["pictures"] == 3
    assert abs(found[:, 0].astype(int) - x[:-1]).max() <= 8
    assert abs(found[:, 2].astype(int) - x[1:]).max() <= 8


def test_conditions_and_guides(small_run, pictures, tmp_path, capsys, monkeypatch):
    """The run is too short for classes to show in its edits."""
    seen = []

    def recorded(model, x, seeds, rows, config):
        seen.append((None if rows is None else rows.tolist(), config.sampler.describe()))
        return variations(model, x, seeds, rows, config)

    monkeypatch.setattr("allegory.cli.edit_work.variations", recorded)
    words = ["--task", "variations", *QUICK, "--input", pictures[0], "--overwrite"]
    (tmp_path / "c.txt").write_text("0\n1\nnone\n")
    for more in (
        ["--condition", f"@{tmp_path / 'c.txt'}"],
        ["--label", "1"],
        ["--label", "1", "--guide", "cfg:3"],
        [],
    ):
        run(capsys, small_run[0], *words, *more, "--out", tmp_path / "x.npy")
    plain = "dpmpp2m, 2 steps"
    assert seen == [
        ([0, 1, -1], plain),
        ([1, 1, 1], plain),
        ([1, 1, 1], f"{plain}, cfg:3"),
        (None, plain),
    ]


@pytest.mark.parametrize("method", ["mmps", "dps"])
def test_the_solver_is_named_where_it_samples(small_run, pictures, tmp_path, capsys, method):
    words = ["--task", "denoise", *QUICK, "--input", pictures[0], "--method", method]
    found = run(capsys, small_run[0], *words, "--out", tmp_path / "x.npz")
    assert ("solver" in found) == (method == "mmps")


def test_with_every_pixel_missing_there_is_no_residual(small_run, pictures, tmp_path, capsys):
    words = ["--task", "inpaint", "--mask", "center:1", *QUICK, "--input", pictures[0]]
    found = run(capsys, small_run[0], *words, "--out", tmp_path / "x.npz")
    assert "residual" not in found
    assert found["std"] > 0


def test_an_empty_name_is_no_folder(small_run, fails):
    said = fails("edit", small_run[0], "--task", "denoise", "--input", "")
    assert "--input: an empty name" in said


def test_only_a_smaller_input_may_be_degraded(small_run, odd, fails):
    said = fails("edit", small_run[0], "--task", "denoise", "--input", odd / "large.png")
    assert "--degrade" not in said


def test_resize_and_orientation(small_run, tmp_path, capsys):
    """A photo is turned as its EXIF says, cropped and resized; a grey one stays grey."""
    image = Image.fromarray(np.arange(6 * 9, dtype=np.uint8).reshape(6, 9))
    exif = Image.Exif()
    exif[274] = 6
    image.save(tmp_path / "photo.png", exif=exif)
    words = ["--task", "variations", *QUICK, "--input", tmp_path / "photo.png", "--resize"]
    run(capsys, small_run[0], *words, "--out", tmp_path / "x.npz")
    given = np.load(tmp_path / "x.npz")["input"][0, 0]
    turned = image.rotate(-90, expand=True).crop((0, 1, 6, 7))
    expected = np.asarray(turned.resize((4, 4), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(given, expected)


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Files that are not what the run learned."""
    folder = tmp_path_factory.mktemp("odd")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / "fits.png")
    Image.fromarray(np.zeros((5, 7), np.uint8)).save(folder / "large.png")
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(folder / "colour.png")
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(folder / "deep.png")
    Image.fromarray(np.full((4, 4), 255, np.uint8)).save(folder / "white.png")
    (folder / "text.txt").write_text("no picture")
    (folder / "empty").mkdir()
    (folder / "mixed").mkdir()
    for side in (4, 5):
        Image.fromarray(np.zeros((side, side), np.uint8)).save(folder / "mixed" / f"{side}.png")
    np.save(folder / "nan.npy", np.full((4, 4), np.nan))
    np.save(folder / "words.npy", np.array([["a", "b"]]))
    np.save(folder / "two.npy", np.zeros((2, 4, 4), bool))
    np.savez(folder / "several.npz", a=np.zeros((4, 4)), b=np.zeros(3))
    return folder


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("", "--task: none; give one of inpaint, superres, colorize"),
        ("--task inpant --input fits.png", "unknown task 'inpant'; did you mean 'inpaint'?"),
        ("--task denoise", "--input: none; give a picture"),
        ("--task denoise --input gone.png", "gone.png: no such file"),
        ("--task denoise --input empty", "no pictures in the folder"),
        ("--task denoise --input mixed", "pictures of 4x4 and 5x5; give them in one size"),
        ("--task denoise --input text.txt", "cannot be read (damaged, or not an image)"),
        ("--task denoise --input deep.png", "pixels of 16 bits, not 8 bits"),
        ("--task denoise --input nan.npy", "holds NaN or infinite numbers"),
        ("--task denoise --input words.npy", "give numbers, (n, channels, height, width)"),
        ("--task denoise --input several.npz", "arrays a, b; name the one to take x"),
        (
            "--task denoise --input large.png",
            "a grey picture of 5x7 pixels; give a grey picture of 4x4 pixels",
        ),
        (
            "--task variations --input colour.png",
            "a colour picture of 4x4 pixels; give a grey picture of 4x4 pixels",
        ),
        ("--task denoise --input fits.png --input large.png", "give pictures of one kind"),
        ("--task colorize --input fits.png", "the pictures of this model are grey"),
        ("--task inpaint --input fits.png", "--mask: none; give a picture in which missing pixels"),
        ("--task inpaint --input fits.png --mask bottom", "bottom: no such file"),
        ("--task inpaint --input fits.png --mask center:2", "fraction"),
        (
            "--task inpaint --input fits.png --mask large.png",
            "mask: 5x7 pixels, and the pictures have 4x4",
        ),
        ("--task inpaint --input fits.png --mask fits.png", "no pixel is missing"),
        ("--task inpaint --input fits.png --mask two.npy", "2 masks for 1 pictures"),
        ("--task denoise --input fits.png --mask lower", "--mask: is for --task inpaint"),
        ("--task denoise --input fits.png --strength 0.5", "--strength: is for --task variations"),
        ("--task variations --input fits.png --strength 2", "strength=2.0; give a number from 0"),
        ("--task variations --input fits.png --method dps", "--method: is for --task inpaint"),
        ("--task denoise --input fits.png --method nope", "unknown method 'nope'"),
        ("--task denoise --input fits.png --noise -1", "noise=-1.0: give a standard deviation"),
        ("--task denoise --input fits.png --noise nan", "give a standard deviation"),
        ("--task denoise --input fits.png --noise 1e30", "beyond the numbers of float32"),
        ("--task denoise --input fits.png --method fk:inf", "method 'fk:inf': after 'fk:' comes K"),
        (
            "--task denoise --input fits.png --method dps --solver ddpm",
            "--solver ddpm: --method dps has steps of its own",
        ),
        ("--task deblur --input fits.png --blur 0", "std=0.0: give a positive number of pixels"),
        ("--task superres --input fits.png", "4x4 pixels, and the model has 4x4; give a picture"),
        ("--task superres --input large.png", "5x7 pixels, and the model has 4x4; give a picture"),
        ("--task superres --input fits.png --degrade --factor 3", "factor=3"),
        ("--task superres --input fits.png --factor 2", "give a grey picture of 2x2 pixels"),
        ("--task interpolate --input fits.png", "one picture; give two or more"),
        ("--task interpolate --input mixed/4.png --input fits.png --count 1", "--count 1"),
        ("--task invert --input fits.png --solver ddpm", "cannot be inverted"),
        ("--task invert --input fits.png --seeds 0:3", "--seeds: is for --task inpaint"),
        ("--task variations --input fits.png --count 0", "--count 0; give a whole number"),
        ("--task variations --input fits.png --label 9", "--label: "),
        ("--task invert --input fits.png --condition 9", "--condition 9: "),
        ("--task variations --input fits.png --out x.jpg", "give a name that ends in .png"),
    ],
)
def test_one_line_for_each_mistake(small_run, odd, fails, words, says, monkeypatch):
    monkeypatch.chdir(odd)
    assert says in fails("edit", small_run[0], *words.split())


def test_what_is_no_file_is_not_waited_for(small_run, tmp_path, fails):
    os.mkfifo(tmp_path / "pipe.png")
    words = ["--task", "variations", "--input", tmp_path / "pipe.png"]
    assert "no regular file; give a picture" in fails("edit", small_run[0], *words)


def test_runs_that_are_not_of_pictures(fails, tmp_path, odd):
    main(["train", "toy", "--steps", "1", "--out", str(tmp_path / "run")])
    said = fails("edit", tmp_path / "run", "--task", "denoise", "--input", odd / "fits.png")
    assert "the items of this run, of shape (2,), are no pictures; in Python" in said


@pytest.fixture(scope="module")
def colour_run(tmp_path_factory):
    """A run of two steps on colour images of 4x4 pixels."""
    folder = tmp_path_factory.mktemp("colour")
    x = np.random.default_rng(0).integers(0, 256, (40, 3, 4, 4)).astype(np.uint8)
    np.savez(folder / "data.npz", x=x)
    words = ["--steps", "2", "--model.network.channels", "8", "--training.batch_size", "8"]
    data = ["--data", str(folder / "data.npz")]
    main(["train", "images", *data, "--out", str(folder / "run"), *words])
    return folder / "run"


def test_colorize(colour_run, odd, tmp_path, capsys, fails):
    rng = np.random.default_rng(1)
    colours = rng.integers(0, 256, (4, 4, 3)).astype(np.uint8)
    picture = Image.fromarray(colours)
    picture.save(tmp_path / "colour.png")
    picture.convert("L").save(tmp_path / "grey.png")

    words = ["--task", "colorize", *QUICK, "--method", "pigdm", "--noise", "3"]
    out = tmp_path / "x.npz"
    run(capsys, colour_run, "--input", tmp_path / "grey.png", *words, "--out", out)
    found = np.load(out)
    assert found["x"].shape == (1, 2, 3, 4, 4) and found["input"].shape == (1, 1, 4, 4)
    luma = found["x"][0].astype(float).transpose(0, 2, 3, 1) @ [0.299, 0.587, 0.114]
    assert abs(luma - found["input"][0, 0]).mean() < 10  # a few times the noise

    whole = ["--input", tmp_path / "colour.png"]
    said = fails("edit", colour_run, *whole, *words)
    assert "a colour picture of 4x4 pixels; give a grey picture of 4x4 pixels, or --degr" in said
    run(capsys, colour_run, *whole, *words, "--degrade", "--out", out, "--overwrite")
    found = np.load(out)
    expected = colours @ [0.299, 0.587, 0.114]
    assert abs(found["input"][0, 0] - expected).max() < 5 * 3
    np.testing.assert_array_equal(found["original"][0].transpose(1, 2, 0), colours)


def test_a_grey_picture_is_one_of_colour(colour_run, odd, tmp_path, capsys):
    words = ["--task", "variations", *QUICK, "--out", tmp_path / "x.npz"]
    run(capsys, colour_run, "--input", odd / "white.png", *words)
    assert np.load(tmp_path / "x.npz")["input"].shape == (1, 3, 4, 4)


def test_transparency_is_said(colour_run, tmp_path, capsys):
    Image.fromarray(np.full((4, 4, 4), 99, np.uint8)).save(tmp_path / "clear.png")
    words = ["--task", "variations", *QUICK, "--out", tmp_path / "x.npy"]
    main(["edit", str(colour_run), "--input", str(tmp_path / "clear.png"), *map(str, words)])
    assert "the transparency is left out" in capsys.readouterr().err


def test_arrays_in_another_unit_are_said(small_run, pictures, tmp_path, capsys):
    np.save(tmp_path / "x.npy", pictures[1] / 255)
    words = ["--task", "variations", *QUICK, "--out", tmp_path / "y.npy"]
    main(["edit", str(small_run[0]), "--input", str(tmp_path / "x.npy"), *map(str, words)])
    assert "the data are from 0 to 255; arrays are taken in the data's own" in (
        capsys.readouterr().err
    )
    np.save(tmp_path / "x.npy", pictures[1] * 255.0)
    words[-1] = tmp_path / "z.npy"
    main(["edit", str(small_run[0]), "--input", str(tmp_path / "x.npy"), *map(str, words)])
    assert "arrays are taken in the data's own" in capsys.readouterr().err
