"""Encoders heed the mask: what is missing has no influence, what is asked for has an answer."""

import pytest
import torch

from physvae.encoders import ENCODERS, build_encoder
from physvae.plans import MLPPlan, SpatialPlan, TemporalPlan, TransformerPlan
from physvae.scaling import Features

BANDS = 4
PLANS = {
    "mlp": MLPPlan(width=8, depth=1),
    "transformer": TransformerPlan(width=8, depth=2, heads=2),
    "spatial": SpatialPlan(width=8, depth=2, patch=5),
    "temporal": TemporalPlan(width=8, depth=2, heads=2),
}
SHAPES = {"pixel": (), "patch": (5, 5), "series": (6,)}


def encoder(kind: str, members: int = 1):
    torch.manual_seed(0)
    plan = PLANS[kind].model_copy(update={"members": members})
    return build_encoder(BANDS, 7, plan).eval()


def inputs(layout: str, n: int = 3):
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(n, *SHAPES[layout], BANDS, generator=generator)
    angles = 60 * torch.rand(n, *SHAPES[layout], 3, generator=generator)
    days = 200 * torch.rand(n, 6, generator=generator).sort(-1).values
    return x, angles, days


def test_every_encoder_is_tested():
    assert set(PLANS) == set(ENCODERS)


@pytest.mark.parametrize("kind", ENCODERS)
def test_every_pixel_and_date_has_its_answer_even_without_any_input(kind):
    net = encoder(kind)
    x, angles, days = inputs(net.layout)
    x[0], angles[0] = torch.nan, torch.nan
    out = net(Features(BANDS)(x, angles), days)
    assert out.shape == (*x.shape[:-1], 7)
    assert out.isfinite().all()


def test_a_transformer_does_not_attend_to_what_is_missing():
    net = encoder("transformer")
    x, angles, _ = inputs("pixel")
    features = Features(BANDS)(x, angles)
    changed = features.clone()
    features[:, 2 * BANDS + 1] = changed[:, 2 * BANDS + 1] = 0.0  # the flag of the second band
    changed[:, [1, BANDS + 1]] = 5.0
    torch.testing.assert_close(net(features), net(changed))
    whole = Features(BANDS)(x, angles)
    assert not torch.allclose(net(whole), net(features))


def test_a_pixel_of_a_patch_sees_its_neighbours_and_not_the_far_corner():
    net = encoder("spatial")
    x, angles, _ = inputs("patch")
    features = Features(BANDS)(x, angles)
    far, near = features.clone(), features.clone()
    far[:, 4, 4], near[:, 1, 1] = 0.0, 0.0
    out = net(features)[:, 0, 0]
    torch.testing.assert_close(net(far)[:, 0, 0], out)
    assert not torch.allclose(net(near)[:, 0, 0], out)


def test_a_hidden_date_is_answered_from_the_others_and_tells_nothing():
    net = encoder("temporal")
    x, angles, days = inputs("series")
    x[:, 2] = torch.nan
    features = Features(BANDS)(x, angles)
    moved = days.clone()
    moved[:, 2] += 3.0
    out, other = net(features, days), net(features, moved)
    keep = [0, 1, 3, 4, 5]
    torch.testing.assert_close(other[:, keep], out[:, keep])
    assert not torch.allclose(other[:, 2], out[:, 2])  # its day is what is asked about


def test_any_number_of_dates_in_any_order():
    net = encoder("temporal")
    x, angles, days = inputs("series")
    features = Features(BANDS)(x, angles)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    swapped = net(features[:, order], days[:, order])
    torch.testing.assert_close(swapped, net(features, days)[:, order], atol=1e-5, rtol=1e-4)
    assert net(features[:, :1], days[:, :1]).shape == (3, 1, 7)


def test_a_series_without_days_is_refused():
    x, angles, _ = inputs("series")
    with pytest.raises(ValueError, match="days: expected"):
        encoder("temporal")(Features(BANDS)(x, angles))


def test_the_members_of_an_ensemble_differ():
    x, angles, _ = inputs("pixel")
    out = encoder("mlp", members=3)(Features(BANDS)(x, angles))
    assert out.shape == (3, 3, 7)
    assert not torch.allclose(out[0], out[1])
