"""Priors of users: for all, by a column, by a map; what does not go together is refused."""

import json
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
from rasterio.transform import from_origin

import physvae
from inversion import retrieve, retrieve_table
from inversion.identity import difference, identity
from inversion.priors import UNKNOWN, priors_of
from inversion.quality import Quality
from inversion.run import Job
from physvae.__main__ import run
from physvae.errors import UsageError
from physvae.marginals import Marginal
from physvae.user_priors import UserPrior

COMMANDS = [
    EntryPoint("retrieve", "inversion.cli:retrieve", "physvae.commands"),
    EntryPoint("models", "physvae.cli:models", "physvae.commands"),
]
LITTLE = "[prior]\nlai = { mean = 0.5, sd = 0.1, low = 0.0, high = 10.0 }\n"
MUCH = "[prior]\nlai = { mean = 4.0, sd = 0.1, low = 0.0, high = 10.0 }\n"


def command(*arguments) -> int:
    return run([str(word) for word in arguments], COMMANDS)


@pytest.fixture(scope="module")
def model():
    return physvae.load("sentinel-2")


@pytest.fixture
def frame(meadow) -> pd.DataFrame:
    table = pd.DataFrame({band: layer.ravel()[:6] for band, layer in meadow().items()})
    return table.assign(
        sun_zenith_deg=40.0, view_zenith_deg=5.0, relative_azimuth_deg=90.0,
        crop=["Little", "much", " LITTLE ", "moss", None, "much"],
    )  # fmt: skip


@pytest.fixture
def files(tmp_path) -> Path:
    """A table of codes and two priors beside it."""
    (tmp_path / "little.toml").write_text(LITTLE)
    (tmp_path / "much.toml").write_text(MUCH)
    codes = [f'{key} = "{name}.toml"' for name in ("little", "much") for key in (name, len(name))]
    (tmp_path / "crops.toml").write_text("\n".join(["[codes]", *codes]))
    return tmp_path


def test_a_column_says_which_prior_holds_for_a_row(frame, files, model, caplog):
    found = retrieve_table(
        frame, model, ["lai"], prior=str(files / "crops.toml"), prior_column="crop"
    )
    own = retrieve_table(frame, model, ["lai"])
    assert found["lai"][[0, 2]].between(0.2, 0.9).all()
    assert found["lai"][[1, 5]].between(3.5, 4.5).all()
    assert found["lai"][3:5].tolist() == pytest.approx(own["lai"][3:5].tolist(), rel=1e-5)
    unknown = (found["quality"].to_numpy() & np.uint16(Quality.PRIOR_UNKNOWN)) != 0
    assert unknown.tolist() == [False, False, False, True, True, False]
    assert "no prior for 'moss' (1 rows), '' (1 rows)" in caplog.text


def test_without_codes_a_column_holds_the_names_of_priors(frame, model):
    frame["crop"] = ["Wheat", "GRASS", "broadleaf forest", "Broadleaf_Forest", "x", "maize"]
    found = retrieve_table(frame, model, ["lai"], prior_column="crop")
    for name, row in (("wheat", 0), ("grass", 1), ("broadleaf-forest", 2), ("maize", 5)):
        alone = retrieve_table(frame, model, ["lai"], prior=name)
        assert found["lai"][row] == pytest.approx(alone["lai"][row], rel=1e-5)
    assert found["lai"][3] == pytest.approx(found["lai"][2], abs=0.5)


def test_the_file_and_the_frame_give_the_same(frame, files, model):
    frame.to_csv(files / "in.csv", index=False)
    arguments = ("--prior", files / "crops.toml", "--prior-column", "crop", "--variables", "lai")
    assert command("retrieve", files / "in.csv", "-o", files / "out.csv", *arguments) == 0
    written = pd.read_csv(files / "out.csv")
    found = retrieve_table(
        frame, model, ["lai"], prior=str(files / "crops.toml"), prior_column="crop"
    )
    np.testing.assert_allclose(written["lai"], found["lai"], rtol=1e-4)
    assert written["quality"].tolist() == found["quality"].tolist()


@pytest.mark.parametrize("method", ["amortised", "lut", "lm", "refined"])
def test_every_method_follows_a_narrow_prior(frame, model, method):
    prior = UserPrior("narrow", (("lai", Marginal(mean=3.5, sd=0.1, low=0.0, high=10.0)),))
    asked = {"method": method, "steps": 20, "prior": prior}
    found = retrieve_table(frame[:1], model, ["lai", "fapar"], **asked)
    assert found["lai"].between(3.2, 3.8).all()
    assert found["fapar"].between(0.3, 1.0).all()


def test_a_map_of_codes_says_which_prior_holds_for_a_pixel(geotiff, meadow, files):
    """Codes on a grid of twice the pixel, over the left half of the image alone."""
    image = geotiff(meadow(8, 8))
    codes = np.array([[6, 4], [4, 6], [6, 6], [0, 9]], "uint8")
    grid = {"crs": "EPSG:32632", "transform": from_origin(465000, 5250000, 20, 20)}
    with rasterio.open(
        files / "crops.tif", "w", driver="GTiff", dtype="uint8", count=1, height=4, width=2, **grid
    ) as file:
        file.write(codes, 1)
    options = ("--sun-zenith", 40, "--variables", "lai", "--no-radiometry-check")
    arguments = ("--prior", files / "crops.toml", "--prior-map", files / "crops.tif", *options)
    assert command("retrieve", image, "-o", files / "out.tif", *arguments) == 0
    with rasterio.open(files / "out.tif") as file:
        lai = file.read(1)
    with rasterio.open(files / "out_quality.tif") as file:
        unknown = (file.read(1) & Quality.PRIOR_UNKNOWN) != 0
    fine = np.zeros((8, 8), int)
    fine[:, :4] = np.kron(codes, np.ones((2, 2), int))
    assert (lai[fine == 6] < 0.9).all()
    assert (lai[fine == 4] > 3.5).all()
    np.testing.assert_array_equal(unknown, (fine == 0) | (fine == 9))
    record = json.loads((files / "out.tif.json").read_text("utf-8"))
    assert [prior["name"] for prior in record["options"]["prior"]] == ["little.toml", "much.toml"]
    assert all(len(prior["sha256"]) == 64 for prior in record["options"]["prior"])


def test_an_image_in_memory_has_its_codes_beside_it(meadow, model):
    values = np.stack(list(meadow().values()))
    codes = np.tile([1, 2], (6, 4))
    image = xr.Dataset(
        {
            "reflectance": (("band", "y", "x"), values), "sun_zenith_deg": 40.0,
            "prior_code": (("y", "x"), codes),
        },
        coords={"band": list(model.bands)},
    ).chunk(x=3)  # fmt: skip
    given = {
        code: UserPrior(str(code), (("lai", Marginal(mean=mean, sd=0.1, low=0.0, high=10.0)),))
        for code, mean in ((1, 1.0), (2, 4.0))
    }
    lai = retrieve(image, model, "lai", prior=given)["lai"].to_numpy()
    assert (lai[codes == 1] < 1.5).all()
    assert (lai[codes == 2] > 3.5).all()


def test_codes_are_numbers_of_any_kind():
    priors = priors_of({7: "wheat", "8": "grass"}, "map")
    codes = np.array([[7.0, 8.0], [np.nan, 7.5]])
    assert priors.of_codes(codes).tolist() == [[0, 1], [UNKNOWN, UNKNOWN]]


@pytest.mark.parametrize(
    ("prior", "by", "said"),
    [
        ("wheat", "column", r"expected \[codes\] for the values of the column, got wheat"),
        (None, "map", r"expected \[codes\] for the values of the map, got none"),
        ({"a": "wheat"}, None, "expected a column or a map whose values it names, got none"),
        ("wheet", None, "expected one of .*, got 'wheet'"),
    ],
)
def test_what_does_not_go_together_is_refused(prior, by, said):
    with pytest.raises(UsageError, match=said):
        priors_of(prior, by)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[prior]\nlai = { low = 3.0 }\n", "bad.toml: prior.lai.high: expected a value, got none"),
        ("[codes]\n1 = 3\n", "bad.toml: codes.1: expected text, got 3"),
        ("[codes]\n", "bad.toml: codes: expected at least 1 item, got {}"),
        ('[codes]\n1 = "none.toml"\n', "none.toml: expected a TOML file, got No such file"),
        ("x = 1", "bad.toml: prior: expected a value, got none"),
    ],
)
def test_a_bad_file_ends_with_exit_code_3_and_one_sentence(frame, files, capsys, text, said):
    frame.to_csv(files / "in.csv", index=False)
    (files / "bad.toml").write_text(text)
    column = ("--prior-column", "crop") if "codes" in text else ()
    arguments = (files / "in.csv", "-o", files / "out.csv", "--prior", files / "bad.toml", *column)
    assert command("retrieve", *arguments) == 3
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (files / "out.csv").exists()


def test_a_column_that_is_not_there_is_refused(frame, files, capsys):
    frame.to_csv(files / "in.csv", index=False)
    arguments = ("retrieve", files / "in.csv", "-o", files / "out.csv", "--prior-column", "Crop")
    assert command(*arguments) == 3
    assert "expected the column Crop of priors, found B2" in capsys.readouterr().err


def test_a_column_needs_a_table_and_a_map_an_image(frame, files, geotiff, meadow):
    frame.to_csv(files / "in.csv", index=False)
    image, out = geotiff(meadow()), files / "out.tif"
    assert command("retrieve", image, "-o", out, "--prior-column", "crop") == 2
    table = ("retrieve", files / "in.csv", "-o", files / "out.csv")
    assert command(*table, "--prior-map", image, "--prior", files / "crops.toml") == 2


def test_a_run_goes_on_only_with_the_same_priors(files, geotiff, meadow, model):
    image = geotiff(meadow())
    job = Job(prior=str(files / "crops.toml"), prior_map=image)
    before = identity((image,), job, model)
    assert identity((image,), job, model) == before
    (files / "much.toml").write_text(MUCH.replace("4.0", "4.1"))
    assert difference(before, identity((image,), job, model)) == "priors"
    other = identity((image,), replace(job, prior="wheat", prior_map=None), model)
    assert other["priors"] != before["priors"]


def test_the_list_of_priors_names_their_sources(capsys):
    assert command("models", "--priors") == 0
    out = capsys.readouterr().out
    assert "wheat\tWheat" in out
    assert "10.5194/essd-17-1347-2025" in out
