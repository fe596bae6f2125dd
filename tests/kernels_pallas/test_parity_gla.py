"""Gated linear attention beside torch: the recurrence by hand, and flash-linear-attention's own."""

import importlib.util
import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers import peer

torch = peer("torch")

from kernels_pallas import gated_linear_attention  # noqa: E402
from tests.kernels_pallas.gla_oracle import NAMES, STRENGTHS, draw, error, here  # noqa: E402

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]


def by_hand(q, k, v, log_decay, state):
    """Scaled queries read the state that the token itself has been written to; [B, T, H, D]."""
    q = q * q.shape[-1] ** -0.5
    decay = log_decay.exp()
    out = []
    for t in range(q.shape[1]):
        state = decay[:, t, :, :, None] * state + k[:, t, :, :, None] * v[:, t, :, None]
        out.append(torch.einsum("bhk,bhkv->bhv", q[:, t], state))
    return torch.stack(out, 1), state


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("time", [1, 70])
def test_outputs_and_gradients_are_those_of_torch(strength, time):
    given = draw(time=time, strength=strength)
    theirs = [torch.tensor(array, dtype=torch.float64).requires_grad_() for array in given[:5]]
    out, final = by_hand(*theirs)
    flowing = [torch.tensor(array, dtype=torch.float64) for array in given[6:]]
    gradients = torch.autograd.grad((out, final), theirs, flowing)

    @jax.jit
    def ours(arrays, d_out, d_final):
        (out, final), pull = jax.vjp(
            lambda *a: gated_linear_attention(*a[:4], initial_state=a[4]), *arrays
        )
        return out, final, *pull((d_out, d_final))

    arrays, _, d_out, d_final = here(given)
    found = ours(arrays, d_out, d_final)
    names = ("out", "final", *NAMES)
    for name, one, other in zip(names, found, (out, final, *gradients), strict=True):
        assert error(one, other.detach().numpy()) <= 1e-5, name


def recurrence_of_fla():
    """`naive_recurrent_gla` from its file alone: the package around it wants Triton."""
    package = importlib.util.find_spec("fla")
    if package is None:
        pytest.skip("fla-core is not installed")
    file = Path(package.submodule_search_locations[0]) / "ops/gla/naive.py"
    return runpy.run_path(str(file))["naive_recurrent_gla"]


@pytest.mark.parametrize("strength", ["mild", "strong"])
def test_fla_says_the_same(strength):
    naive = recurrence_of_fla()
    given = draw(strength=strength)
    theirs = [torch.tensor(array) for array in given[:5]]
    out, final = naive(*theirs, output_final_state=True)
    arrays, *_ = here(given)
    run = jax.jit(lambda *a: gated_linear_attention(*a[:4], initial_state=a[4]))
    found, state = run(*arrays)
    assert error(found, out.numpy()) <= 1e-5
    assert error(state, final.numpy()) <= 1e-5


def test_fla_says_the_same_in_bfloat16():
    naive = recurrence_of_fla()
    given = draw(dtype=jnp.bfloat16)
    theirs = [torch.tensor(np.float32(array)) for array in given[:4]]
    out, _ = naive(*(one.bfloat16() for one in theirs[:3]), theirs[3])
    arrays, *_ = here(given)
    found, _ = jax.jit(gated_linear_attention)(*arrays[:4])
    assert error(found, out.float().numpy()) <= 1e-2
