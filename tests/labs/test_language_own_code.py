"""Panels with mixers of one's own, copied as code: what is written opens the same panel."""

import ast

import pytest

from workbench.labs import language
from workbench.labs.language.own_code import code_of
from workbench.labs.language.own_mixer_view import OwnMixerView
from workbench.labs.language.train_view import TrainView
from workbench.language import mixer
from workbench.language.mixers import mixer_of
from workbench.panels.settings import accepted, start


class Plain:
    def __init__(self, rate=0.9, about="a"):
        self.rate, self.about = rate, about

    def init(self, key, width):
        return {}

    def step(self, params, state, x):
        return state, self.rate * x


def step(params, state, x):
    return state, x


slow = mixer(Plain, name="Fades: 'slow'")(rate=0.99)
Decay = mixer(Plain, name="Decay")
of_functions = mixer(init=lambda key, width: {}, step=step, name="My mixer")
built_in = mixer_of({"kind": "gla", "num_heads": 2, "gate": "fixed"})


def opened(code, monkeypatch):
    """What the code gives its opener; the panel itself is not opened."""
    found = []
    monkeypatch.setattr(language, "own_mixer", lambda *given, **more: found.append(given))
    monkeypatch.setattr(language, "train", lambda *given, **more: found.append(given))
    exec(compile(code.split("panel.run()")[0], "copied", "exec"), {})
    return found[0]


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (Decay, "Decay"),
        (Decay(rate=0.5), "Decay(rate=0.5)"),
        (slow, "slow"),
        (slow(about="b's"), 'slow(rate=0.99, about="b\'s")'),
        (mixer(Plain, name="Fades: 'slow'"), "mixer(Plain, name=\"Fades: 'slow'\")"),
        (mixer(Plain)(rate=0.5), "mixer(Plain)(rate=0.5)"),
        (Plain, "mixer(Plain)"),
        (of_functions, "of_functions"),
        (built_in, "mixer_of({'kind': 'gla', 'num_heads': 2, 'gate': 'fixed'})"),
        (mixer_of({"kind": "mlgru"}), "mixer_of({'kind': 'mlgru'})"),
    ],
)
def test_the_code_of_a_mixer_makes_it_again(given, written, monkeypatch):
    view = OwnMixerView(given)
    assert view.arguments() == [written]
    (made,) = opened(view.code(accepted(view, start(view, {}))), monkeypatch)
    assert made == view.mixer and getattr(made, "name", "") == getattr(view.mixer, "name", "")


def test_the_training_panel_writes_all_its_mixers(monkeypatch):
    view = TrainView((Decay(rate=0.5), of_functions, built_in, mixer(Plain)))
    code = view.code(accepted(view, start(view, {})))
    assert opened(code, monkeypatch) == tuple(view.mixers.values())


def nameless():
    class Local(Plain):
        pass

    made = {"init": lambda key, width: {}, "step": step}
    return [
        (mixer(Local)(rate=0.5), "Local(rate=0.5)"),
        (mixer(Plain)(about=object()), "Plain"),
        (mixer(**made, name="Two words\nand lines"), "Two_words_and_lines"),
        (mixer(**made, name="2 + 2"), "my_2_2"),
        (mixer(**made, name="class"), "my_class"),
        (mixer(**made, name="?"), "mine"),
    ]


@pytest.mark.parametrize(("given", "written"), nameless())
def test_a_mixer_without_a_name_in_its_module_is_called_by_an_identifier(given, written):
    assert code_of(given).expression == written
    (words,) = code_of(given).before
    name = written.partition("(")[0]
    assert words.startswith(f"# {name}: your mixer ") and "\n" not in words
    view = TrainView((given,))
    ast.parse(view.code(accepted(view, start(view, {}))))
