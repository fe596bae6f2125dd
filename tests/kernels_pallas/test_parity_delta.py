"""The gated delta rule beside torch: the recurrence by hand, and the two forms of transformers."""

import jax
import pytest

from tests.peers import peer

torch = peer("torch")

from transformers.models.qwen3_next.modeling_qwen3_next import (  # noqa: E402
    torch_chunk_gated_delta_rule,
    torch_recurrent_gated_delta_rule,
)

from kernels_pallas import gated_delta_rule  # noqa: E402
from tests.kernels_pallas.delta_oracle import NAMES, draw, here  # noqa: E402
from tests.kernels_pallas.gla_oracle import error  # noqa: E402

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]


def by_hand(q, k, v, beta, log_decay, state):
    """Decays, then moves what the state reads at the key toward the value; [B, T, H, D]."""
    q, decay, out = q * q.shape[-1] ** -0.5, log_decay.exp(), []
    for t in range(q.shape[1]):
        state = decay[:, t, :, None, None] * state
        read = torch.einsum("bhk,bhkv->bhv", k[:, t], state)
        change = beta[:, t, :, None] * (v[:, t] - read)
        state = state + k[:, t, :, :, None] * change[:, :, None]
        out.append(torch.einsum("bhk,bhkv->bhv", q[:, t], state))
    return torch.stack(out, 1), state


@jax.jit
def both_ways(arrays, d_out, d_final):
    (out, final), pull = jax.vjp(lambda *a: gated_delta_rule(*a[:5], initial_state=a[5]), *arrays)
    return out, final, *pull((d_out, d_final))


@pytest.mark.parametrize("strength", ["zero", "mild", "strong", "resets"])
def test_outputs_and_gradients_are_those_of_torch(strength):
    given = draw(strength=strength, beta="two")
    theirs = [torch.tensor(array, dtype=torch.float64).requires_grad_() for array in given[:6]]
    out, final = by_hand(*theirs)
    flowing = [torch.tensor(array, dtype=torch.float64) for array in given[7:]]
    gradients = torch.autograd.grad((out, final), theirs, flowing)
    arrays, _, d_out, d_final = here(given)
    found = both_ways(arrays, d_out, d_final)
    names = ("out", "final", *NAMES)
    for name, one, other in zip(names, found, (out, final, *gradients), strict=True):
        assert error(one, other.detach().numpy()) <= 1e-5, name


@pytest.mark.parametrize("strength", ["mild", "strong"])
def test_transformers_says_the_same(strength):
    given = draw(strength=strength)
    q, k, v, beta, g, state = map(torch.tensor, given[:6])
    arrays, _, d_out, d_final = here(given)
    found, final, *_ = both_ways(arrays, d_out, d_final)
    for form in (torch_recurrent_gated_delta_rule, torch_chunk_gated_delta_rule):
        out, theirs = form(q, k, v, g=g, beta=beta, initial_state=state, output_final_state=True)
        assert error(found, out.numpy()) <= 1e-5
        assert error(final, theirs.numpy()) <= 1e-5
