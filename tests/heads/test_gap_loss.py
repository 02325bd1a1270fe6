import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pretended_gpu import waits

from evenhand.errors import InputError
from evenhand.groups import Groups
from evenhand.heads.gap_loss import GapLoss, soft_gap_loss
from evenhand.heads.gaps import MIN_CELL, SHRINK, Softness, gap_term
from evenhand.heads.objective import Objective

CRITERIA = ["equalized_odds", "demographic_parity", "equal_opportunity"]


def batch(n=400, classes=2, groups=3, seed=0):
    draw = np.random.default_rng(seed)
    logits = torch.tensor(draw.normal(size=(n, classes)), requires_grad=True)
    labels = torch.tensor(draw.integers(0, classes, n))
    return logits, labels, torch.tensor(draw.integers(-1, groups, n))


def solvers(logits, labels, groups, criterion):
    """Value and gradient of the penalty as the head's solver takes them."""
    classes = tuple(str(k) for k in range(logits.shape[1]))
    names = tuple(str(g) for g in range(int(groups.max()) + 1))
    term = gap_term(labels.numpy(), Groups(groups.numpy(), names), classes, criterion)
    objective = Objective(labels.numpy(), [term])
    plain, slope = objective(logits.detach().numpy(), 0.0)
    with_gap, with_slope = objective(logits.detach().numpy(), 1.0)
    return with_gap - plain, torch.tensor(with_slope - slope)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("classes", [2, 3])
def test_a_whole_batch_has_the_solvers_penalty_and_gradient(criterion, classes):
    logits, labels, groups = batch(classes=classes)
    loss = soft_gap_loss(
        logits, labels, groups, criterion, softness=Softness(shrink=SHRINK, min_cell=MIN_CELL)
    )
    (slope,) = torch.autograd.grad(loss, logits)
    value, gradient = solvers(logits, labels, groups, criterion)
    assert loss.item() == pytest.approx(value, rel=1e-9)
    torch.testing.assert_close(slope, gradient)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_log_odds_and_two_logits_agree(criterion):
    logits, labels, groups = batch()
    odds = logits[:, 1] - logits[:, 0]
    two = soft_gap_loss(logits, labels, groups, criterion)
    torch.testing.assert_close(two, soft_gap_loss(odds, labels, groups, criterion))
    torch.testing.assert_close(two, soft_gap_loss(odds[:, None], labels, groups, criterion))


def test_group_names_do_as_codes():
    logits, labels, groups = batch(groups=2)
    names = [None if g < 0 else "FM"[g] for g in groups.tolist()]
    torch.testing.assert_close(
        soft_gap_loss(logits, labels, groups), soft_gap_loss(logits, labels, names)
    )


@pytest.mark.parametrize("criterion", CRITERIA)
def test_running_means_on_the_whole_set_are_the_full_penalty(criterion):
    logits, labels, groups = batch()
    gap = GapLoss(labels.numpy(), Groups(groups.numpy(), ("a", "b", "c")), ("n", "y"), criterion)
    for _ in range(3):
        loss = gap(logits, labels, groups)
    (slope,) = torch.autograd.grad(loss, logits)
    value, gradient = solvers(logits, labels, groups, criterion)
    assert loss.item() == pytest.approx(value, rel=1e-9)
    torch.testing.assert_close(slope, gradient)


def test_small_batches_step_the_way_of_the_full_penalty():
    logits, labels, groups = batch(4000, groups=2)
    with torch.no_grad():
        logits[:, 1] += 0.7 * groups
    gap = GapLoss(labels.numpy(), Groups(groups.numpy(), ("a", "b")), ("n", "y"), memory=50)
    full = solvers(logits, labels, groups, "equalized_odds")[1]
    order = torch.randperm(4000, generator=torch.Generator().manual_seed(0))
    ours = torch.zeros_like(full)
    for number in range(250):
        rows = order[(number % 125) * 32 : (number % 125 + 1) * 32]
        loss = gap(logits[rows], labels[rows], groups[rows])
        if number >= 125:
            ours += torch.autograd.grad(loss, logits)[0] / 125
    cosine = (ours * full).sum() / (ours.norm() * full.norm())
    assert cosine > 0.98
    assert ours.norm() == pytest.approx(full.norm().item(), rel=0.1)


def test_a_cell_not_seen_yet_moves_nothing():
    logits, labels, groups = batch(groups=2)
    gap = GapLoss(labels.numpy(), Groups(groups.numpy(), ("a", "b")), ("n", "y"))
    only = groups == 0
    loss = gap(logits[only], labels[only], groups[only])
    assert loss.item() == pytest.approx(0, abs=1e-12)
    gap.reset()
    assert gap(logits, labels, groups).item() > 0


@settings(deadline=None, max_examples=40)
@given(
    codes=st.lists(st.integers(-1, 3), max_size=30),
    classes=st.integers(2, 4),
    criterion=st.sampled_from(CRITERIA),
    seed=st.integers(0, 9),
)
def test_any_batch_gives_a_finite_loss_and_gradient(codes, classes, criterion, seed):
    draw = np.random.default_rng(seed)
    logits = torch.tensor(10 * draw.normal(size=(len(codes), classes)), requires_grad=True)
    labels = torch.tensor(draw.integers(0, classes, len(codes)), dtype=torch.int64)
    groups = torch.tensor(codes, dtype=torch.int64)
    loss = soft_gap_loss(logits, labels, groups, criterion)
    loss.backward()
    assert loss.item() >= 0
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda z, y, g: (z[1:], y, g), "differ in length: 399, 400 and 400"),
        (lambda z, y, g: (z, y + 1, g), "must lie in"),
        (lambda z, y, g: (z, y.double(), g), "integers"),
        (lambda z, y, g: (z[..., None], y, g), "shape"),
        (lambda z, y, g: (z.log(), y, g), "logits hold NaN or infinity in .* rows of 400"),
    ],
)
def test_batches_of_another_form_are_named(change, words):
    with pytest.raises(InputError, match=words):
        soft_gap_loss(*change(*batch()))


def test_a_group_that_was_not_in_training_is_named():
    logits, labels, groups = batch(groups=2)
    gap = GapLoss(labels.numpy(), Groups(groups.numpy(), ("a", "b")), ("n", "y"))
    with pytest.raises(InputError, match="group code 2"):
        gap(logits, labels, groups + 1)
    with pytest.raises(InputError, match="group code -3"):
        gap(logits, labels, groups - 2)
    with pytest.raises(InputError, match="memory"):
        GapLoss(labels.numpy(), Groups(groups.numpy(), ("a", "b")), ("n", "y"), memory=0)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("classes", [2, 3])
def test_a_gpu_gives_the_processor_s_values_and_gradients(gpu, criterion, classes):
    logits, labels, groups = batch(classes=classes)
    names = tuple(str(g) for g in range(3))
    found = {}
    for device in ("cpu", gpu):
        term = GapLoss(
            labels.numpy(),
            Groups(groups.numpy(), names),
            tuple(str(k) for k in range(classes)),
            criterion,
        )
        z = logits.detach().float().to(device).requires_grad_()
        values = [
            term(z[part], labels[part].to(place), groups[part].to(place))
            for part, place in zip(torch.arange(400).split(80), (device, "cpu") * 3, strict=False)
        ]
        values.append(soft_gap_loss(z, labels.to(device), groups.to(device), criterion))
        assert {value.device.type for value in values} == {torch.device(device).type}
        (slope,) = torch.autograd.grad(sum(values), z)
        found[device] = torch.stack(values).detach().cpu(), slope.cpu()
    for one, other in zip(found["cpu"], found[gpu], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)


def test_a_gpu_is_waited_for_no_more_than_it_must(gpu):
    logits, labels, groups = batch(groups=2)
    gap = GapLoss(labels.numpy(), Groups(groups.numpy(), ("0", "1")), ("n", "y"))
    z = logits.detach().float().to(gpu)
    gap(z, labels, groups)  # constants go there
    there = labels.to(gpu), groups.to(gpu)
    with waits() as number:
        gap.trusting(z, labels, groups)
        assert number() == 0
        gap(z, labels, groups)
        assert number() == 1  # whether the logits are finite
        gap(z, *there)
        assert number() == 4
