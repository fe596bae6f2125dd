"""Assembly, switching, experts and precision as methods, alone and composed with plans."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.diffusion.conftest import TINY, random_unet, tiny_pipeline
from workbench.diffusion.assembly import trained as students
from workbench.diffusion.assembly.assembled import Assembled
from workbench.diffusion.assembly.assembling import assemble
from workbench.diffusion.assembly.conditional import ConditionalConvolution
from workbench.diffusion.assembly.initial import assembled
from workbench.diffusion.assembly.precision import Precision
from workbench.diffusion.assembly.switched import Switched
from workbench.diffusion.automatic import AutomaticPlan
from workbench.diffusion.checkpoint import save_unet
from workbench.diffusion.costs import full_cost
from workbench.diffusion.encoder_propagation import EncoderPropagation
from workbench.diffusion.feature_inheritance import FeatureInheritance
from workbench.diffusion.full_sampling import FullSampling
from workbench.diffusion.unet import UNetConfig
from workbench.study import Probe, Study, compare
from workbench.study.method import MethodError

STEPS = 4
PROPAGATION = EncoderPropagation(key_steps="uniform", interval=2, largest_group=1)
INHERITANCE = FeatureInheritance(interval=2)
AS_CUT = {"weights": "teacher"}


@pytest.fixture(scope="module")
def subject(tiny_unet):
    return tiny_pipeline(tiny_unet, steps=STEPS, guidance=1.0)


@pytest.fixture
def trained(tiny_unet, subject, tmp_path, monkeypatch):
    """A folder in which one student lies; it is the teacher as cut."""
    unet = assembled(assemble(TINY, ["down.0.layer.0"]), tiny_unet)
    save_unet(unet, tmp_path / "base" / "unet")
    facts = {
        "teacher": {"form": TINY.model_dump(mode="json"), "weights": subject.weights_hash},
        "students": {"base": {"dropped": ["down.0.layer.0"], "weights": "of the student"}},
    }
    (tmp_path / "training.json").write_text(json.dumps(facts))
    monkeypatch.setattr(students.shipped, "path", lambda name: tmp_path)
    students._read.cache_clear()
    yield tmp_path
    students._read.cache_clear()


def _errors(method, subject):
    return [problem.message for problem in method.check(subject) if problem.level == "error"]


@pytest.mark.slow
@pytest.mark.long
def test_one_comparison_takes_any_composition(subject):
    def error(outcome):
        away = outcome.outputs["latents"][:, -1] - outcome.reference["latents"][:, -1]
        return np.abs(away).mean(axis=(1, 2, 3))

    cut = Assembled("small", **AS_CUT)
    methods = [
        FullSampling(),
        Precision("int8"),
        cut.then(PROPAGATION),
        cut.then(Precision("bfloat16")),
        cut.then(Precision("int8")).then(INHERITANCE),
        Switched("small", switch=2, **AS_CUT).then(Precision("int8")).then(PROPAGATION),
    ]
    study = Study("tiny", subject, subject.inputs, (0, 1), (Probe("error", error),), batch=2)
    trials = compare(methods, study, repeats=3).tables.trials.set_index("method")
    assert len(trials) == 2 * len(methods)
    error = trials["quality.error"]
    assert (error["Full sampling"] == 0).all()
    assert (error.drop("Full sampling") > 0).all()
    assert (trials["cost.latency"] > 0).all()
    macs = trials["cost.macs"].groupby(level=0).first()
    assert macs["Precision"] == macs["Full sampling"]
    assert (
        macs["Model assembly, then Encoder propagation"] < (macs["Model assembly, then Precision"])
    )
    assert macs.idxmin() == "Model assembly, then Precision, then Feature inheritance"


@pytest.mark.slow
def test_a_trained_student_is_read(subject, trained):
    method = Assembled("base")
    assert method.check(subject) == []
    found = method.prepare(subject)
    assert found.config == method.outline(subject).config
    assert found.config.layers == (0, 1)
    as_cut = Assembled("base", weights="teacher").prepare(subject)
    for ours, theirs in zip(found.weights, as_cut.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    shape = replace(subject.shape, config=found.config)
    assert method.predict(subject).macs == STEPS * full_cost(shape).macs
    assert students.matching(TINY, ["up.1.layer.0"]).student.name == "base"
    assert students.matching(TINY, ["mid"]) is None


def test_what_no_student_fits_is_one_line(subject, trained):
    assert _errors(Assembled("small"), subject) == [
        'No such student was trained; there are base; weights="teacher" takes the teacher\'s own'
    ]
    other = UNetConfig(**{**dict(TINY), "norm_num_groups": 4})
    stranger = tiny_pipeline(random_unet(other), steps=STEPS)
    (text,) = _errors(Assembled("base"), stranger)
    assert "is of another form" in text and "norm_num_groups is 4, not 8" in text
    with pytest.raises(MethodError, match="norm_num_groups is 4, not 8"):
        Switched("base", switch=1).prepare(stranger)
    same_form = replace(subject, weights_hash="other")
    (problem,) = Assembled("base").check(same_form)
    assert problem.level == "warn" and "distilled from other weights" in problem.message


def test_settings_that_do_not_fit_are_one_line(subject):
    (text,) = _errors(Assembled("custom", dropped="down.7", **AS_CUT), subject)
    assert "nothing called 'down.7' to drop" in text
    (text,) = _errors(Switched("small", switch=5, **AS_CUT), subject)
    assert text == "Switch must be between 0 and 4, the steps of this run. You gave 5"
    int8 = Precision("int8").outline(subject)
    assert "in int8 already" in _errors(Precision("bfloat16"), int8)[0]
    assert "precision comes after model assembly" in _errors(Assembled("base", **AS_CUT), int8)[0]
    switched = Switched("small", switch=2, **AS_CUT)
    assert "switches networks" in _errors(switched.then(AutomaticPlan()), subject)[0]
    assert "switches networks" in _errors(switched.then(Assembled("base", **AS_CUT)), subject)[0]
    assert _errors(ConditionalConvolution(experts=3, routing="sigmoid"), subject) == [
        "conv_experts=3 must be even with conv_routing='sigmoid', whose weights start in pairs "
        "that add up to one"
    ]


@pytest.mark.slow
def test_precision_halves_and_quarters_the_kernels(subject):
    sizes = {
        name: sum(leaf.nbytes for leaf in Precision(name).prepare(subject).weights)
        for name in ("float32", "bfloat16", "int8")
    }
    assert sizes["float32"] == sum(leaf.nbytes for leaf in subject.weights)
    assert sizes["int8"] < 0.6 * sizes["bfloat16"] + 0.1 * sizes["float32"] < sizes["float32"]
    switched = Switched("small", switch=2, **AS_CUT).then(Precision("int8")).prepare(subject)
    assert switched.precision.name == switched.early.precision.name == "int8"


def test_experts_are_a_transform_like_the_others(subject):
    method = Assembled("small", **AS_CUT).then(ConditionalConvolution(experts=2))
    found = method.prepare(subject)
    assert found.config == method.outline(subject).config
    assert found.config.conv_experts == 2
    assert len(found.weights) > len(Assembled("small", **AS_CUT).prepare(subject).weights)
