"""Texts parse in one thread while others parse theirs."""

import ast
import gc
import inspect
import threading

import pytest

from workbench.syntax import syntax_tree

TEXT = inspect.getsource(ast)


@pytest.fixture
def collections_let_others_in():
    """A callback in Python at each collection, as JAX has one: there another thread may go on."""

    def callback(_phase, _info):
        sum(range(100))

    gc.callbacks.append(callback)
    yield
    gc.callbacks.remove(callback)


def test_threads_parse_at_once(collections_let_others_in):
    wanted = ast.dump(ast.parse(TEXT))
    got = []

    def parse():
        got.extend(ast.dump(syntax_tree(TEXT)) == wanted for _ in range(10))

    threads = [threading.Thread(target=parse) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [True] * 30


def test_what_is_no_python_says_so():
    with pytest.raises(SyntaxError):
        syntax_tree("def")
