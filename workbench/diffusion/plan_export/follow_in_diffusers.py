"""Makes a diffusers pipeline with a UNet2DConditionModel follow a sampling plan.

    stop = follow(pipe)
    images = pipe(prompt, num_inference_steps=inference_steps(pipe)).images
    stop()

Each step of the plan is one call of the UNet: "full" runs it whole and keeps what later steps
reuse; the others run only what does not depend on kept values alone. Nothing but the pipeline's own
modules is needed. Plans work on every scheduler that calls the UNet once a step, and on PNDM, which
calls it once more than it is asked for: a plan of 50 steps is 49 of PNDM's.
"""

import json
import re

PLAN = json.loads("{}")
STEPS = len(PLAN.get("actions", ()))


def inference_steps(pipe):
    """What to ask the pipeline for, so that it calls the UNet once for each step of the plan."""
    return STEPS - (type(pipe.scheduler).__name__ == "PNDMScheduler" and STEPS > 1)


class Layers:
    """The UNet as named layers in execution order, and what each kind of step runs of it."""

    def __init__(self, unet, plan):
        self.plan, self.modules, self.inputs, self.blocks, self.units = plan, {}, {}, {}, {}
        self.skips, self.ups = [], []
        self._down(unet)
        self.middle = self._middle(unet)
        self._up(unet)
        self.kinds = {kind: self._given(kind) for kind in set(plan["actions"]) - {"full"}}
        self.keep = set().union(*self.kinds.values()) if self.kinds else set()

    def modes(self, kind):
        """Of each layer: "run", "kept" (its value is given) or "idle" (nothing needs it)."""
        given = self.kinds[kind]
        needed, modes = {"conv_out"}, {}
        for name in reversed(self.inputs):
            live = name in needed and name not in given
            modes[name] = "run" if live else "kept" if name in given else "idle"
            if live:
                needed.update(self.inputs[name])
        return modes

    def _add(self, block, name, inputs, *modules):
        self.modules[name], self.inputs[name] = modules, inputs
        self.blocks.setdefault(block, []).append(name)
        for module in modules:
            if hasattr(module, "conv2"):
                self.units[f"{name}.resnet"] = module
            for depth, inner in enumerate(getattr(module, "transformer_blocks", ())):
                at = f"{name}.transformer.{depth}"
                self.units[f"{at}.self_attention"] = inner.attn1
                self.units[f"{at}.cross_attention"] = inner.attn2
                self.units[f"{at}.feed_forward"] = inner.ff
        return name

    def _down(self, unet):
        last = self._add("conv_in", "conv_in", (), unet.conv_in)
        self.skips.append(last)
        for i, block in enumerate(unet.down_blocks):
            for j, resnet in enumerate(block.resnets):
                name, parts = f"down.{i}.layer.{j}", (resnet, *_attention(block, j))
                last = self._add(f"down.{i}", name, (last,), *parts)
                self.skips.append(last)
            for sampler in block.downsamplers or ():
                last = self._add(f"down.{i}", f"down.{i}.downsample", (last,), sampler)
                self.skips.append(last)

    def _middle(self, unet):
        last = self.skips[-1]
        for j, resnet in enumerate(unet.mid_block.resnets):
            parts = (resnet, *_attention(unet.mid_block, j))
            last = self._add("mid", f"mid.layer.{j}", (last,), *parts)
        return last

    def _up(self, unet):
        last, stack = self.middle, list(self.skips)
        for i, block in enumerate(unet.up_blocks):
            for j, resnet in enumerate(block.resnets):
                name, parts = f"up.{i}.layer.{j}", (resnet, *_attention(block, j))
                last = self._add(f"up.{i}", name, (last, stack.pop()), *parts)
                self.ups.append(last)
            for sampler in block.upsamplers or ():
                last = self._add(f"up.{i}", f"up.{i}.upsample", (last,), sampler)
        self._add("conv_out", "conv_out", (last,), unet.conv_out)

    def _given(self, kind):
        """Names of layers and units whose values a kind of step takes from the last full one."""
        if kind == "decode":
            return {*self.skips, self.middle}
        if kind == "shallow":
            return {self.inputs[self.ups[-1 - self.plan["branch"]]][0]}
        known = {name: [name] for name in (*self.inputs, *self.units)}
        for block, names in self.blocks.items():
            known[block] = names if block.startswith("down.") else names[-1:]
        given: set = set()
        for name in self.plan["inherited"]:
            parts = re.split(r"(\*+)", name)
            signs = {"**": ".+", "*": "[^.]+"}
            pattern = re.compile("".join(signs.get(part, re.escape(part)) for part in parts))
            fits = [other for other in known if pattern.fullmatch(other)]
            if not fits:
                raise ValueError(f"the UNet has nothing called {name!r}")
            given.update(place for other in fits for place in known[other])
        return given


class State:
    """Where the run is, and what the last full step left."""

    def __init__(self, layers):
        self.layers, self.step, self.first = layers, 0, None
        self.kept, self.blank, self.tuples = {}, {}, set()
        self.every = {kind: layers.modes(kind) for kind in layers.kinds}
        self.begin()

    def begin(self):
        """Before a step."""
        action = self.layers.plan["actions"][min(self.step, STEPS - 1)]
        self.full = action == "full"
        self.modes = {} if self.full else self.every[action]
        self.given = set() if self.full else self.layers.kinds[action]


def follow(pipe):
    """Let `pipe.unet` follow the plan; the function returned undoes it."""
    layers = Layers(pipe.unet, PLAN)
    state, patched = State(layers), []

    def patch(owner, name, make):
        patched.append((owner, name, getattr(owner, name)))
        setattr(owner, name, make(getattr(owner, name)))

    for name, module in layers.units.items():
        if hasattr(module, "conv2"):
            patch(module.conv2, "forward", lambda own, name=name: _keeping(state, name, own))
            patch(module, "forward", lambda own, n=name, m=module: _around(state, n, m, own))
        else:
            patch(module, "forward", lambda own, name=name: _unit(state, name, own))
    for name, modules in layers.modules.items():
        for place, module in enumerate(modules):
            key = (name, place, place == len(modules) - 1)
            patch(module, "forward", lambda own, key=key: _layer(state, key, own))
    patch(pipe.unet, "forward", lambda own: _counted(state, own))
    patch(pipe.scheduler, "set_timesteps", lambda own: _started(state, pipe.scheduler, own))
    if PLAN["injection"]:
        patch(pipe.scheduler, "step", lambda own: _injected(state, pipe.scheduler, own))

    def stop():
        for owner, name, own in reversed(patched):
            setattr(owner, name, own)

    return stop


def _attention(block, place):
    attentions = getattr(block, "attentions", None) or ()
    return attentions[place : place + 1] if place < len(attentions) else ()


def _counted(state, own):
    def forward(*args, **kwargs):
        if state.step >= STEPS:
            raise ValueError(f"the plan has {STEPS} steps; this run asks for more")
        state.begin()
        out = own(*args, **kwargs)
        state.step += 1
        return out

    return forward


def _started(state, scheduler, own):
    def set_timesteps(*args, **kwargs):
        out = own(*args, **kwargs)
        if len(scheduler.timesteps) != STEPS:
            found = len(scheduler.timesteps)
            raise ValueError(
                f"the plan has {STEPS} steps; this run calls the UNet {found} times: ask for "
                "num_inference_steps=inference_steps(pipe)"
            )
        state.step, state.first, state.kept = 0, None, {}
        return out

    return set_timesteps


def _injected(state, scheduler, own):
    """A share of the first noise is added before each update of the last half."""

    def step(model_output, timestep, sample, *args, **kwargs):
        if state.first is None:
            state.first = sample / scheduler.init_noise_sigma
        if float(timestep) / scheduler.config.num_train_timesteps < 0.5:
            scale = scheduler.scale_model_input(sample.new_ones(1), timestep)
            sample = sample + PLAN["injection"] * state.first / scale
        return own(model_output, timestep, sample, *args, **kwargs)

    return step


def _keeping(state, name, own):
    def forward(*args, **kwargs):
        out = own(*args, **kwargs)
        if state.full and name in state.layers.keep:
            state.kept[name] = out
        return out

    return forward


def _unit(state, name, own):
    keeping = _keeping(state, name, own)

    def forward(*args, **kwargs):
        return state.kept[name] if name in state.given else keeping(*args, **kwargs)

    return forward


def _around(state, name, resnet, own):
    """The path around a ResNet's residual stays live."""

    def forward(x, *args, **kwargs):
        if name not in state.given:
            return own(x, *args, **kwargs)
        straight = x if resnet.conv_shortcut is None else resnet.conv_shortcut(x)
        return (straight + state.kept[name]) / resnet.output_scale_factor

    return forward


def _layer(state, key, own):
    name, place, last = key

    def forward(*args, **kwargs):
        mode = state.modes.get(name, "run")
        if mode == "run":
            out = own(*args, **kwargs)
            value = out[0] if isinstance(out, tuple) else out
            if state.full:
                # Takes no memory: what reads it is not read itself.
                state.blank[name, place] = value.new_zeros(()).expand(value.shape)
                if isinstance(out, tuple):
                    state.tuples.add((name, place))
                if last and name in state.layers.keep:
                    state.kept[name] = value
            return out
        value = state.kept[name] if mode == "kept" and last else state.blank[name, place]
        return (value,) if (name, place) in state.tuples else value

    return forward
