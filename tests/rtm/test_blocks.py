"""Blocks change neither a value nor a slope, whatever the length of the batch."""

import pytest
import torch

from rtm import Prosail, blocks
from rtm.blocks import in_blocks, in_even_blocks, room

F64 = torch.float64


def shares(x, y):
    return (x * y).sin().T, None, x.sum(0)


@pytest.mark.parametrize("how", [in_blocks, in_even_blocks])
@pytest.mark.parametrize("n", [1, 7, 8, 24, 29])
def test_blocks_are_the_whole(how, n):
    x = torch.rand(3, n, dtype=F64, requires_grad=True)
    y = torch.rand(3, n, dtype=F64, requires_grad=True)
    found, truth = how(shares, (x, y), block=8), shares(x, y)
    assert found[1] is None
    for a, b in ((found[0], truth[0]), (found[2], truth[2])):
        assert torch.equal(a, b)
        weights = torch.rand_like(b)
        slopes, right = (torch.autograd.grad((v * weights).sum(), x) for v in (a, b))
        torch.testing.assert_close(slopes, right)


def test_even_blocks_are_all_of_one_size():
    sizes = []

    def seen(x):
        sizes.append(tuple(x.shape))
        return (x.T,)

    in_even_blocks(seen, (torch.rand(2, 19),), block=8)
    assert sizes == [(2, 8)] * 3


def test_a_long_batch_is_worked_off_in_blocks_and_is_the_same():
    """Values and slopes of 3,000 canopies at 150 wavelengths against those of single blocks."""
    model = Prosail(wavelength=torch.linspace(400, 2500, 150, dtype=F64), products=False)
    generator = torch.Generator().manual_seed(0)
    unit = torch.rand(3000, len(model.space), generator=generator, dtype=F64)
    theta = model.space.low + (model.space.high - model.space.low) * unit
    angles = torch.tensor([30.0, 10.0, 60.0], dtype=F64)
    whole = theta.clone().requires_grad_()
    found = model(whole, angles).rso
    (slope,) = torch.autograd.grad(found.sum(), whole)
    for rows in (slice(0, 200), slice(1400, 1600), slice(2900, 3000)):
        part = theta[rows].clone().requires_grad_()
        alone = model(part, angles).rso
        torch.testing.assert_close(found[rows], alone, rtol=0, atol=1e-13)
        torch.testing.assert_close(
            slope[rows], torch.autograd.grad(alone.sum(), part)[0], rtol=1e-8, atol=1e-12
        )


def test_a_long_batch_keeps_the_graph_of_one_block_only():
    """What autograd holds on to is a small part of what the computation makes."""
    model = Prosail(wavelength=torch.linspace(400, 2500, 300, dtype=F64), products=False)
    theta = model.space.default.float().expand(2000, -1).clone().requires_grad_()
    held = 0

    def keep(x):
        nonlocal held
        held += x.numel() * x.element_size()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        model(theta, torch.tensor([30.0, 10.0, 60.0]))
    assert held < 2000 * 300 * 4 * 8  # eight spectra a canopy; the whole graph is hundreds


@pytest.mark.parametrize("shape", [(3, 5), (2101, 1000), (0, 7)])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_room_is_a_tensor_like_any_other(shape, dtype):
    """Also where it is large; it starts at a line of memory, and outlives what made it."""
    made = room(*shape, dtype=dtype)
    assert made.shape == shape
    assert made.dtype == dtype
    assert made.is_contiguous()
    assert made.data_ptr() % 16 == 0
    assert torch.equal(made.fill_(2.0).sum(), torch.tensor(2.0 * made.numel(), dtype=dtype))


@pytest.mark.parametrize("hold", [
    lambda x: x, lambda x: x[5:7, ::3], lambda x: x.T, lambda x: x.numpy(),
    lambda x: x.view(torch.int32)[0],
])  # fmt: skip
def test_memory_serves_again_only_when_nobody_holds_it(hold, monkeypatch):
    """Neither a view, nor a tensor of another type, nor an array of numpy loses its numbers."""
    monkeypatch.setattr(blocks, "_kept", [])
    shape = (2101, 600)
    made = room(*shape)
    at, held = made.data_ptr(), hold(made)
    del made
    assert at not in {x.data_ptr() for x in [room(*shape) for _ in range(4)]}
    del held
    assert at in {x.data_ptr() for x in [room(*shape) for _ in range(5)]}


def test_no_more_memory_is_kept_than_told(monkeypatch):
    monkeypatch.setattr(blocks, "_kept", [])
    for rows in (2000, 2500, 3000, 3500):  # 24 to 42 MB, of 64
        room(rows, 3000)
        assert 0 < sum(x.size for x in blocks._kept) <= blocks._KEPT
    room(9000, 3000)
    assert [x.size // 12_000 for x in blocks._kept] == [3500]
