"""Functions that the memory tests run in processes of their own."""

import os
import signal
import time


def hold(mebibytes, label="held"):
    block = bytearray(mebibytes << 20)
    for at in range(0, len(block), 4096):
        block[at] = 1
    return {"label": label, "mebibytes": mebibytes}


def hold_then_release(mebibytes, seconds=0.5):
    block = b"x" * (mebibytes << 20)
    time.sleep(seconds)
    del block
    time.sleep(seconds)


def fail(message):
    raise ValueError(message)


def sleep(seconds):
    time.sleep(seconds)


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def leave():
    print("on the way out", flush=True)
    os._exit(3)


def not_json():
    return object()


def jax_square(size):
    import jax.numpy as jnp

    return float((jnp.ones((size, size)) @ jnp.ones((size, size)))[0, 0])
