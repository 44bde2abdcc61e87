"""Layers of machine code against the same layers by torch in float64."""

import pytest
import torch

from physvae.perceptron import Perceptron

SHAPES = [[(5, 3)], [(12, 7), (1, 12)], [(128, 33), (128, 128), (56, 128)], [(13, 1), (24, 13)]]


def layers(shapes) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [
        (torch.randn(m, k, generator=generator) / k**0.5, torch.randn(m, generator=generator))
        for m, k in shapes
    ]


def by_torch(made, x):
    for n, (weight, bias) in enumerate(made):
        x = weight.double() @ x + bias.double().unsqueeze(1)
        x = torch.nn.functional.silu(x) if n < len(made) - 1 else x
    return x


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("pixels", [0, 1, 32, 45, 3000])
def test_every_size_is_what_torch_says(shapes, pixels):
    made = layers(shapes)
    x = torch.randn(shapes[0][1], pixels, generator=torch.Generator().manual_seed(1))
    found = Perceptron(made)(x)
    assert found.shape == (shapes[-1][0], pixels)
    assert torch.allclose(found.double(), by_torch(made, x.double()), rtol=0.0, atol=2e-5)


def test_great_sums_do_not_overflow():
    """SiLU is 0 far below and the identity far above."""
    weight, bias = torch.tensor([[1.0]]), torch.tensor([0.0])
    x = torch.tensor([[-1e4, -200.0, -87.0, 87.0, 200.0, 1e4]])
    found = Perceptron([(weight, bias), (weight, bias)])(x)
    assert torch.allclose(found, x.clamp(min=0.0), rtol=1e-6, atol=1e-30)


def test_a_gap_stays_in_its_pixel():
    made = layers(SHAPES[2])
    x = torch.zeros(33, 40)
    x[4, 7] = torch.nan
    missing = Perceptron(made)(x).isnan()
    assert missing[:, 7].all()
    assert missing.sum() == len(missing)


def test_threads_change_nothing():
    made, before = layers(SHAPES[2]), torch.get_num_threads()
    x = torch.randn(33, 5000, generator=torch.Generator().manual_seed(2))
    network = Perceptron(made)
    try:
        torch.set_num_threads(1)
        alone = network(x)
        torch.set_num_threads(3)
        assert torch.equal(network(x), alone)
    finally:
        torch.set_num_threads(before)
