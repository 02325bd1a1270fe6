"""Training compiled: the same model, or a line that says what is missing."""

import shutil

import pytest
import torch
from test_validating import HOW, net, rows

import evenhand as eh
from evenhand.errors import InputError

needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None, reason="torch compiles for a processor with g++, which is not here"
)


def test_every_step_of_training_runs_what_the_compiler_gave(monkeypatch):
    passes = []

    def compile_it(model):
        def run(batch):
            passes.append(len(batch))
            return model(batch)

        return run

    monkeypatch.setattr(torch, "compile", compile_it)
    compiled = eh.adapt(net(), rows(), rank=None, compile=True, batch_size=100, **HOW)
    assert passes == [100] * 9
    plain = eh.adapt(net(), rows(), rank=None, batch_size=100, **HOW)
    for name, value in plain.state_dict().items():
        assert torch.equal(value, compiled.state_dict()[name]), name


@pytest.mark.whole
@needs_compiler
@pytest.mark.parametrize("rank", [None, 2])
def test_a_compiled_model_is_the_same(rank):
    """Batches of two sizes, and a look at the whole model between the epochs."""
    pytest.importorskip("peft")
    how = HOW | {"rank": rank, "batch_size": 128}
    looks = {}
    new = torch.as_tensor(rows(50, 1)[0])

    def look(model, epoch):
        looks.setdefault(epoch, []).append(model(new))

    plain = eh.adapt(net(), rows(), validate=look, **how)
    compiled = eh.adapt(net(), rows(), validate=look, compile=True, **how)
    assert type(compiled) is type(plain)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(compiled.state_dict()[name], value, rtol=1e-5, atol=1e-5)
    for one, other in looks.values():
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.whole
def test_a_missing_compiler_is_named(monkeypatch):
    config = pytest.importorskip("torch._inductor.config")
    monkeypatch.setattr(config.cpp, "cxx", ("no-such-compiler",))
    torch.compiler.reset()
    with pytest.raises(InputError, match=r"torch cannot compile the model here: .* leave out"):
        eh.adapt(net(), rows(), rank=None, compile=True, **HOW)
    torch.compiler.reset()
